"""Runs the graph of a DVC project and leaves the workspace as ``dvc repro`` would.

Usable in any DVC project: ``python -m dvcgraph repro``, or :func:`dvcgraph.schedule.reproduce`.
"""
