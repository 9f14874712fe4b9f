"""Wall time of the runner against `dvc repro`: ``python -m benchmarks.graph_speed [--rows ROW ...]``.

Both sides run in scratch projects with the same stages; a row counts only if dvc.lock then equals DVC's as data
and `dvc status` finds nothing to do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.graphs import (
    LAYERS,
    Job,
    Scratch,
    UnequalError,
    changed_inputs,
    clone,
    dvc_project,
    empty_dvc_project,
    install_snakemake,
    layered_jobs,
    make_project,
    make_version,
    require_equal,
    snakemake_project,
)

ROUNDS = 3  # of what takes seconds; `dvc repro` of all stages takes minutes, and is run once
SLEEPERS, SLEEPER_JOBS = 40, 8
FLOW_SECONDS, FLOW_SECONDS_PER_STAGE = 3.0, 0.01


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    stages: int = 400
    sleep_seconds: float = 5.0
    flow_stages: tuple[int, ...] = (60, 400)
    snakemake: bool = False


@dataclass(frozen=True)
class Row:
    """One row of the table: seconds of both sides, medians where there were several rounds.

    ``least`` bounds the ratio of theirs to ours; ``note`` says why there is no figure, or what else to know.
    """

    what: str
    against: str
    their_seconds: float | None = None
    our_seconds: float | None = None
    least: float | None = None
    aim: float | None = None
    note: str = ""
    wrong: str = ""  # how the results differ; empty if they are equal

    @property
    def ratio(self) -> float | None:
        """How many times as fast ours is."""
        if self.their_seconds is None or not self.our_seconds:
            return None
        return self.their_seconds / self.our_seconds

    @property
    def reached(self) -> bool:
        """The bound is reached, at equal results."""
        return not self.wrong and (self.least is None or (self.ratio is not None and self.ratio >= self.least))


Measurement = Callable[[Path, Size], Iterator[Row]]


def trivial_stages(folder: Path, size: Size) -> Iterator[Row]:
    """Measure many trivial stages: a first run, an unchanged one, and one with a tenth of them changed."""
    _warm_up(folder)
    jobs = layered_jobs(size.stages)
    ours, theirs = (dvc_project(folder / name, jobs) for name in ("ours", "theirs"))
    runner = ours.module("dvcgraph", "repro", "-j", "2")
    dvc = theirs.module("dvc", "repro")

    first = ours.seconds(*runner), theirs.seconds(*dvc)
    count = len(jobs)
    what = f"{count} trivial stages, first run, -j 2"
    yield Row(what, "`dvc repro`", first[1], first[0], 10, 25, wrong=_difference(ours, theirs))
    yield from _peers(folder, jobs, size, what, first[0])

    rounds = [(ours.seconds(*runner), theirs.seconds(*dvc)) for _ in range(ROUNDS)]
    yield _row(f"the same {count}, unchanged", rounds, 1.2, 2, _difference(ours, theirs))

    inputs = changed_inputs(count)
    rounds = []
    for number in range(ROUNDS):
        for side in (ours, theirs):
            for name in inputs:
                (side.path / name).write_text(f"{name} changed {number}\n", encoding="utf-8")
        rounds.append((ours.seconds(*runner), theirs.seconds(*dvc)))
    yield _row(f"{len(inputs)} changed of the {count}", rounds, None, None, _difference(ours, theirs))


def _warm_up(folder: Path) -> None:
    """Run both programs once, so that neither is the one that has its files read from disk first."""
    project = dvc_project(folder / "warm-up", layered_jobs(LAYERS))
    for name in ("dvcgraph", "dvc"):
        project.run(*project.module(name, "repro"))


def _peers(folder: Path, jobs: Sequence[Job], size: Size, what: str, our_seconds: float) -> Iterator[Row]:
    """Measure the same commands by Snakemake and by make, which keep no content hashes, cache or records."""
    if size.snakemake:
        program, version = install_snakemake(folder / "snakemake-venv")
        seconds = None
        if program is not None:
            project = snakemake_project(folder / "snakemake", jobs)
            seconds = project.seconds(str(program), "--cores", "2", "--quiet")
            _require_outputs(project, jobs)
        yield Row(what, "`snakemake -c2`", seconds, our_seconds if seconds else None, note=version)
    version_of_make = make_version()
    if version_of_make is None:
        yield Row(what, "`make -j2`", note="it is not installed")
    else:
        project = make_project(folder / "make", jobs)
        seconds = project.seconds("make", "-j2")
        _require_outputs(project, jobs)
        yield Row(what, "`make -j2`", seconds, our_seconds, note=f"{version_of_make}; time stamps only")


def _require_outputs(project: Scratch, jobs: Sequence[Job]) -> None:
    missing = [job.output for job in jobs if not (project.path / job.output).exists()]
    if missing:
        raise UnequalError(f"{project.path}: {len(missing)} outputs were not made, such as {missing[0]}")


def sleeping_stages(folder: Path, size: Size) -> Iterator[Row]:
    """Measure independent stages that only sleep, against the least time in which the slots could run them."""
    stages = {f"s{i}": {"cmd": f"sleep $NAP && echo {i} > out-{i}", "outs": [f"out-{i}"]} for i in range(SLEEPERS)}
    ours, theirs = (empty_dvc_project(folder / name, stages) for name in ("ours", "theirs"))
    nap = f"{size.sleep_seconds:g}"
    seconds = ours.seconds(*ours.module("dvcgraph", "repro", "-j", str(SLEEPER_JOBS)), NAP=nap)
    theirs.run(*theirs.module("dvc", "repro"), NAP="0")
    ideal = size.sleep_seconds * -(-SLEEPERS // SLEEPER_JOBS)
    what = f"{SLEEPERS} independent stages that sleep {nap} s, -j {SLEEPER_JOBS}"
    yield Row(what, "the ideal", ideal, seconds, 0.9, wrong=_difference(ours, theirs))


def added_by_the_flow(folder: Path, size: Size) -> Iterator[Row]:
    """Measure what the Prefect flow adds to the runner, in one process, with a server that runs already."""
    for count in size.flow_stages:
        jobs = layered_jobs(count)
        plain, flow = (dvc_project(folder / f"{name}-{count}", jobs) for name in ("plain", "flow"))
        worker = flow.module("benchmarks.flow_worker", str(plain.path), str(flow.path), str(ROUNDS))
        measured = json.loads(flow.run(*worker, PREFECT_HOME=str(folder / "prefect")).splitlines()[-1])
        allowed = FLOW_SECONDS + FLOW_SECONDS_PER_STAGE * count
        seconds = {name: statistics.median(measured[name]) for name in ("flow", "plain")}
        yield Row(
            f"what the flow adds to {count} trivial stages",
            "what it may add",
            allowed,
            max(seconds["flow"] - seconds["plain"], 0.001),
            1,
            2,
            note=f"flow {seconds['flow']:.2f} s, runner {seconds['plain']:.2f} s",
            wrong=_difference(flow, plain),
        )


def default_suite(folder: Path, _size: Size) -> Iterator[Row]:
    """Measure the default suite on fresh clones: the runner, and all of `tandem run`, against `dvc repro`."""
    runner, whole, dvc = (clone(folder / name) for name in ("runner", "tandem", "dvc"))
    seconds = runner.seconds(*runner.module("dvcgraph", "repro"))
    their_seconds = dvc.seconds(*dvc.module("dvc", "repro"))
    whole_seconds = whole.seconds(sys.executable, "-c", "from flows.command_line import main; main()", "run")
    what = f"the default suite on {os.cpu_count()} cores, "
    yield Row(
        f"{what}`python -m dvcgraph repro`", "`dvc repro`", their_seconds, seconds, 1.5, 1.9,
        wrong=_difference(runner, dvc, timed=True),
    )  # fmt: skip
    yield Row(
        f"{what}all of `tandem run`", "`dvc repro`", their_seconds, whole_seconds, 1.5, 1.9,
        wrong=_difference(whole, dvc, timed=True),
    )  # fmt: skip


ROWS: dict[str, Measurement] = {
    "trivial": trivial_stages,
    "sleep": sleeping_stages,
    "flow": added_by_the_flow,
    "suite": default_suite,
}

HEADER = (
    "| what | against | its seconds | ours | ratio | at least | aim | reached | remarks |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def measure(names: Sequence[str] = tuple(ROWS), size: Size = Size()) -> list[Row]:
    """Measure the named rows, print each as it is there, and return them; one that cannot be measured says why."""
    rows = []
    for row in _measured(names, size):
        rows.append(row)
        print(row_text(row), flush=True)
    return rows


def _measured(names: Sequence[str], size: Size) -> Iterator[Row]:
    for name in names:
        with tempfile.TemporaryDirectory(prefix="tandem-benchmark-", ignore_cleanup_errors=True) as folder:
            try:
                yield from ROWS[name](Path(folder).resolve(), size)
            except (RuntimeError, UnequalError) as error:
                yield Row(name, "", wrong=" ".join(str(error).split())[-300:].replace("|", "/"))


def row_text(row: Row) -> str:
    """Return a row of the Markdown table."""

    def shown(value: float | None, form: str) -> str:
        return "—" if value is None else format(value, form)

    if row.wrong:
        reached = "**no**"
    elif row.least is None:
        reached = ""
    else:
        reached = "yes" if row.reached else "**no**"
    ratio = "—" if row.ratio is None else f"{row.ratio:.2f}×" if row.ratio < 10 else f"{row.ratio:.0f}×"
    bounds = [f"{bound:g}×" if bound is not None else "" for bound in (row.least, row.aim)]
    remarks = "; ".join(part for part in (row.wrong, row.note) if part)
    return (
        f"| {row.what} | {row.against} | {shown(row.their_seconds, '.2f')} | {shown(row.our_seconds, '.2f')} | "
        f"{ratio} | {bounds[0]} | {bounds[1]} | {reached} | {remarks} |"
    )


def _row(what: str, rounds: Sequence[tuple[float, float]], least: float | None, aim: float | None, wrong: str) -> Row:
    ours, theirs = (statistics.median(side) for side in zip(*rounds, strict=True))
    return Row(what, "`dvc repro`", theirs, ours, least, aim, wrong=wrong)


def _difference(ours: Scratch, theirs: Scratch, *, timed: bool = False) -> str:
    try:
        require_equal(ours, theirs, timed=timed)
    except UnequalError as error:
        return " ".join(str(error).split())
    return ""


def main() -> int:
    """Measure and print; return 1 if a result is wrong or a bound is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graph_speed", description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="what to measure; all by default")
    parser.add_argument("--stages", type=int, default=Size.stages, help="trivial stages; a multiple of 10")
    parser.add_argument("--sleep", type=float, default=Size.sleep_seconds, help="seconds that a sleeping stage takes")
    parser.add_argument("--flow-stages", type=int, nargs="+", default=list(Size.flow_stages))
    parser.add_argument(
        "--snakemake", action="store_true", help="install Snakemake in a folder of its own, and measure it"
    )
    options = parser.parse_args()
    print(HEADER, flush=True)
    size = Size(options.stages, options.sleep, tuple(options.flow_stages), options.snakemake)
    return int(not all(row.reached for row in measure(options.rows, size)))


if __name__ == "__main__":
    sys.exit(main())
