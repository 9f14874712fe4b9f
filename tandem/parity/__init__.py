"""The parity ladder: the same network in two frameworks, compared rung by rung from its initial weights on.

``records`` is what the stages hand on, ``climb`` what a framework computes, ``compare`` how far two frameworks agree,
``words`` where and why they part, and ``defaults`` the frameworks' own defaults that differ.
"""
