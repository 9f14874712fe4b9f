"""Measures and writes docs/benchmarks.md: ``python -m benchmarks [PART ...]``, by default all parts."""

from __future__ import annotations

import argparse
import datetime
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks import graph_speed, population_size, search_quality, search_speed, training_speed
from benchmarks.graphs import LAYERS

PAGE = Path("docs/benchmarks.md")
PARTS = ("training", "tutorials", "streamed", "graph", "search", "population", "strategies")
_PACKAGES = ("dvc", "keras", "optuna", "prefect", "tensorflow", "torch")


def main() -> int:
    """Measure, print and write the tables; return 1 if a result is wrong or a bound is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; by default all")
    parser.add_argument("--systems", nargs="+", metavar="EXPERIMENT", help="of the part tutorials; by default all")
    given = parser.parse_args()
    parts, systems = given.parts or PARTS, given.systems or list(training_speed.SYSTEMS)
    for wrong in set(parts) - set(PARTS):
        parser.error(f"'{wrong}' is no part; allowed: {', '.join(PARTS)}")
    for wrong in set(systems) - set(training_speed.SYSTEMS):
        parser.error(f"'{wrong}' is not measured; allowed: {', '.join(training_speed.SYSTEMS)}")
    reached = True
    if "training" in parts:
        _write("training", _training())
    if "tutorials" in parts:
        text, none_slower = _tutorials(systems)
        _write("tutorials", text)
        reached &= none_slower
    if "streamed" in parts:
        text, all_equal = _streamed()
        _write("streamed", text)
        reached &= all_equal
    if "graph" in parts:
        text, kept = _graph()
        _write("graph", text)
        reached &= kept
    if "search" in parts:
        text, fast = _search()
        _write("search", text)
        reached &= fast
    if "population" in parts:
        _write("population", _population())
    if "strategies" in parts:
        _write("strategies", _strategies())
    return int(not reached)


def _training() -> str:
    print(training_speed.HEADER, flush=True)
    rows = training_speed.measure()
    data = "genuine data" if all(row.genuine for row in rows) else "noise of the data's shape (TANDEM_DATA unset)"
    return f"""## Training, seconds per epoch

{_measured("training", data)}

Each figure is the median of {training_speed.ROUNDS} rounds; the two sides of a ratio take turns in one run.
M1 is `fashion-mlp` (55 000 images, 300-100, batch 32), M11 is `housing-wide-deep-one-input` (11 610 rows, 30-30,
batch 32). The first epoch of each round, in which programs are compiled, is left out. Both sides start from the
same weights and shuffle in their own order; the losses in the last column show that they do the same work.

{training_speed.HEADER}
{chr(10).join(training_speed.row_text(row) for row in rows)}
"""


def _tutorials(systems: list[str]) -> tuple[str, bool]:
    print(training_speed.SYSTEMS_HEADER, flush=True)
    rows = training_speed.measure_systems(systems)
    data = "genuine data" if all(row.genuine for row in rows) else "noise of the data's shape (TANDEM_DATA unset)"
    text = f"""## The tutorials' systems, seconds of training per epoch

{_measured("tutorials", data)}

Plain code is Keras's `fit` with its defaults, and a `DataLoader` loop, on the same network, rows and batch size, with
one thread. The two sides take turns in one run; each figure is the median over the epochs of two rounds, the first
epoch of each left out, validation not included. One experiment stands for each network and way of training.

{training_speed.SYSTEMS_HEADER}
{chr(10).join(training_speed.system_text(row) for row in rows)}
"""
    return text, all(row.ratio >= 1 for row in rows)


def _streamed() -> tuple[str, bool]:
    print(training_speed.STREAMED_HEADER, flush=True)
    rows = training_speed.measure_streaming()
    data = "genuine data" if all(row.genuine for row in rows) else "noise of the data's shape (TANDEM_DATA unset)"
    text = f"""## Streamed input, seconds of training per epoch

{_measured("streamed", data)}

The cases of the first table with `input: memory` and with `input: streamed`, one thread, in turns; medians of
{training_speed.ROUNDS} rounds, the first epoch of each left out. The files were in the operating system's cache. Losses
count as equal if those of all epochs are, to the last bit.

{training_speed.STREAMED_HEADER}
{chr(10).join(training_speed.streamed_text(row) for row in rows)}
"""
    return text, all(row.equal for row in rows)


def _graph() -> tuple[str, bool]:
    print(graph_speed.HEADER, flush=True)
    rows = graph_speed.measure(size=graph_speed.Size(snakemake=True))
    text = f"""## Running a graph, seconds of wall time

{_measured("graph")}

Both sides run the same stages in scratch projects, in turns. What takes minutes is run once; the rest is the median
of {graph_speed.ROUNDS} rounds. A row counts only if `dvc.lock` then equals, as data, the one that `dvc repro`
writes, and `dvc status` finds nothing to do; in the default suite, what holds wall-clock times (`timings/`, `logs/`,
`reports/`) is left out of that. A trivial stage is one `cat` of one or two small files; the
{graph_speed.Size.stages} of them lie in {LAYERS} layers. Snakemake and make keep no content hashes and no cache,
so that they do less. The ratio is theirs to ours.

{graph_speed.HEADER}
{chr(10).join(graph_speed.row_text(row) for row in rows)}
"""
    return text, all(row.reached for row in rows)


def _search() -> tuple[str, bool]:
    found = search_speed.measure()
    every, threads = search_speed.DRAWN["scikeras"], psutil.cpu_count()
    keras, torch = (found.agreement[name] for name in ("keras", "torch"))
    less = "less than the spread between seeds"
    told = less if keras.is_equal and torch.is_equal else f"not shown to be {less}"
    text = f"""## The tutorials' grid of 750 trainings (H2), seconds of wall time

{_measured("search", f"scikeras {version('scikeras')}, scikit-learn {version('scikit-learn')}", "genuine data")}

150 settings on five folds, five epochs each, batch 32. Tandem runs all of it, with {threads} threads, the median of
{search_speed.ROUNDS} rounds that take turns with the others; scikeras (TensorFlow takes all cores) and Optuna run every
{every}th setting of the grid, which is scaled up. Imports are left out on every side. The arithmetic limit is the
floating-point operations of the trainings over the rate of large matrix products
({found.rate / 1e9:.0f} GFLOP/s, measured in the same run). Scores are R², the best a mean over
the folds. Of scikeras's scores, of a setting on a fold each, {keras.inside} of {keras.scores} lie within the range of
{keras.seeds} seeds of Keras, and {torch.inside} of {torch.scores} within that of PyTorch; {keras.expected:.0%} would,
were the distributions the same. What diverged on either side is left out. In standard deviations between our seeds,
scikeras's scores lie higher by a median of {_between(keras)} in Keras and {_between(torch)} in PyTorch (bootstrap over
the settings): {told}.

{search_speed.HEADER}
{chr(10).join(search_speed.row_text(found, name) for name in found.sides)}
"""
    return text, found.reached


def _between(found: search_speed.Agreement) -> str:
    return f"{found.shift:.2f} ({found.low:.2f} to {found.high:.2f})"


def _population() -> str:
    print(population_size.HEADER, flush=True)
    points = population_size.measure()
    networks, rows, width = population_size.BASE
    return f"""## Networks trained together, seconds of processor time per epoch

{_measured("population", "made data")}

Each axis by itself around {networks} networks with two hidden layers of {width} units on {rows} rows of eight features,
batch 32, one thread; the second epoch counts, so that nothing is compiled or traced in it. "One after another" is one
network's epoch times their number. More networks than fit into 256 MB are cut into batches. Memory is what the
process's largest resident set grew by. The last two columns are the way that the product takes by itself
(`tandem/population/costs.py`) for 20 epochs, which counts what is compiled, too: of settings one program for each in
Keras, 1.2 s, of replicates one for all. Of settings it decides for thirty, since their number is not known before.

{population_size.HEADER}
{chr(10).join(population_size.row_text(point) for point in points)}
"""


def _strategies() -> str:
    print(search_quality.HEADER, flush=True)
    rows = search_quality.compare_strategies()
    print(search_quality.DRAWS_HEADER, flush=True)
    draws = search_quality.draw_ten()
    return f"""## Strategies at an equal budget of trained epochs

{_measured("strategies", "genuine data")}

`{search_quality.EXPERIMENT}` in PyTorch: one to three layers of 1 to 48 units, learning rate from 1e-4 to 3e-2 in its
logarithm, scored on the validation rows; {search_quality.BUDGET} trained epochs, at most {search_quality.EPOCHS} a
training. Means over {search_quality.SEEDS} search seeds with 95 % intervals (Student's t); differences are between the
same seeds. Negative is better than random; an interval that holds 0 shows no difference. The test error is of the
winner's training.

{search_quality.HEADER}
{chr(10).join(search_quality.row_text(row, rows[0]) for row in rows)}

Ten random draws on three folds, at most 100 epochs with early stopping (H3), the winner trained again on all training
rows:

{search_quality.DRAWS_HEADER}
{chr(10).join(search_quality.draws_text(framework, errors) for framework, errors in draws.items())}
"""


def _measured(part: str, *more: str) -> str:
    machine = (
        f"{platform.system()} {platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}"
    )
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    facts = "; ".join([machine, packages, *more])
    return f"By `python -m benchmarks {part}` on {datetime.date.today()}: {facts}."


def _write(part: str, section: str) -> None:
    """Put a section into the page, in the place of the older one."""
    marks = {name: f"<!-- {name} -->\n" for name in PARTS}
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    kept = {
        name: found[1] if (found := re.search(rf"{mark}(.*?)(?=<!-- |\Z)", old, re.DOTALL)) else ""
        for name, mark in marks.items()
    }
    kept[part] = f"\n{section}\n"
    text = "# Benchmarks\n\n`make bench` measures all of it anew.\n\n"
    text += "".join(f"{marks[name]}{content}" for name, content in kept.items() if content)
    PAGE.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    print(f"written to {PAGE}")


if __name__ == "__main__":
    sys.exit(main())
