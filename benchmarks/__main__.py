"""Measures everything and writes docs/benchmarks.md: ``python -m benchmarks``."""

from __future__ import annotations

import datetime
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks import graph_speed, training_speed
from benchmarks.graphs import LAYERS

PAGE = Path("docs/benchmarks.md")


def main() -> int:
    """Measure, print and write the tables; return 1 if a result is wrong or a bound is missed."""
    print(training_speed.HEADER, flush=True)
    training = training_speed.measure()
    print(graph_speed.HEADER, flush=True)
    graph = graph_speed.measure(size=graph_speed.Size(snakemake=True))
    data = "genuine data" if all(row.genuine for row in training) else "noise of the data's shape (TANDEM_DATA unset)"
    cores = psutil.cpu_count()
    packages = ", ".join(f"{name} {version(name)}" for name in ("dvc", "keras", "prefect", "tensorflow", "torch"))
    text = f"""# Benchmarks

Written by `make bench` on {datetime.date.today()}: {platform.system()} {platform.machine()}, {cores} cores,
Python {platform.python_version()}, {packages}; {data}.

## Training, seconds per epoch

Each figure is the median of {training_speed.ROUNDS} rounds; the two sides of a ratio take turns in one run.
M1 is `fashion-mlp` (55 000 images, 300-100, batch 32), M11 is `housing-wide-deep-one-input` (11 610 rows, 30-30,
batch 32). The first epoch of each round, in which programs are compiled, is left out. Both sides start from the
same weights and shuffle in their own order; the losses in the last column show that they do the same work.

{training_speed.HEADER}
{chr(10).join(training_speed.row_text(row) for row in training)}

## Running a graph, seconds of wall time

Both sides run the same stages in scratch projects, in turns, by `python -m benchmarks.graph_speed`. What takes
minutes is run once; the rest is the median of {graph_speed.ROUNDS} rounds. A row counts only if `dvc.lock` then equals,
as data, the one that `dvc repro` writes, and `dvc status` finds nothing to do; in the default suite, what holds
wall-clock times (`timings/`, `logs/`, `reports/`) is left out of that. A trivial stage is one `cat` of one or two
small files; the {graph_speed.Size.stages} of them lie in {LAYERS} layers. Snakemake and make keep no content
hashes and no cache, so that they do less. The ratio is theirs to ours.

{graph_speed.HEADER}
{chr(10).join(graph_speed.row_text(row) for row in graph)}
"""
    PAGE.write_text(text, encoding="utf-8")
    print(f"written to {PAGE}")
    return int(not all(row.reached for row in graph))


if __name__ == "__main__":
    sys.exit(main())
