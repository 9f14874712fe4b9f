"""The tutorials' systems and claims, held against what ours gave.

``systems`` and ``claims`` say what the tutorials state, ``measures`` how a number is read from results, ``judging``
whether ours is what they state, and ``page`` writes it down. Nothing here reads a file.
"""
