"""Measures everything and writes docs/benchmarks.md: ``python -m benchmarks``."""

from __future__ import annotations

import datetime
import platform
from pathlib import Path

import psutil

from benchmarks import training_speed

PAGE = Path("docs/benchmarks.md")


def main() -> None:
    """Measure, print and write the table."""
    print(training_speed.HEADER, flush=True)
    rows = training_speed.measure()
    data = "genuine data" if all(row.genuine for row in rows) else "noise of the data's shape (TANDEM_DATA unset)"
    cores = psutil.cpu_count()
    text = f"""# Benchmarks

Written by `make bench` on {datetime.date.today()}: {platform.system()} {platform.machine()}, {cores} cores,
{data}. Each figure is the median of {training_speed.ROUNDS} rounds; the two sides of a ratio take turns in one run.

## Training, seconds per epoch

M1 is `fashion-mlp` (55 000 images, 300-100, batch 32), M11 is `housing-wide-deep-one-input` (11 610 rows, 30-30,
batch 32). The first epoch of each round, in which programs are compiled, is left out. Both sides start from the
same weights and shuffle in their own order; the losses in the last column show that they do the same work.

{training_speed.HEADER}
{chr(10).join(training_speed.row_text(row) for row in rows)}
"""
    PAGE.write_text(text, encoding="utf-8")
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main()
