"""One check a module, found by scanning.

``SECTION`` and ``ORDER`` say where its findings are shown, ``check(facts)`` gives them.
"""
