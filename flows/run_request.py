"""What a run of the pipeline is asked for, and all that it does: the graph, the publication, the gate."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.settings import get_current_settings
from prefect.states import Failed, State

from dvcgraph.errors import GraphError
from flows import execution
from flows.cleaning import take_out_old_results
from flows.dead_runs import living_run, mark_dead_runs
from flows.execution import METRICS_PATTERN, GraphRun, Link, Submit
from flows.publishing import PUBLISHED, new_run_id, publish_run
from flows.repository import RepositoryError, git
from flows.searching import plan_search, planning, search_targets
from flows.server import REPORTS_URL_VARIABLE
from stages import paths
from tandem.config import Params, read_params
from tandem.errors import ParameterError, TandemError, suggest
from tandem.gate import check_gate
from tandem.plan import Plan, frameworks_of, make_plan, write_plan
from tandem.records import ComparisonRecord, read_record
from tandem.report.site import FailedStage, MainMetric, PublishedRun, main_metrics


@dataclass(frozen=True)
class RunRequest:
    """What is asked for.

    Attributes:
        experiments: of the plan; none: all.
        frameworks: of the plan; none: all.
        targets: DVC stages, instead of experiments and frameworks.
        search: one that is declared, in the frameworks chosen, instead of experiments; added to the suite if need be.
        force: run stages that have not changed, too.
        jobs: how many threads may work at a time; None: the cores.
        overrides: numbers to take instead of the declared ones, for one experiment; None is left out.
        always_publish: also a run in which nothing had changed.
    """

    experiments: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    search: str = ""
    force: bool = False
    jobs: int | None = None
    overrides: Mapping[str, float | None] = field(default_factory=dict)
    always_publish: bool = False


def run_request(root: Path, request: RunRequest, submit: Submit) -> State:
    """Carry a request out inside a flow.

    Args:
        root: the project's folder.
        request: what to run.
        submit: starts the task of a stage.

    Returns:
        Completed, or Failed with a message that says why in a line.
    """
    home = get_current_settings().home
    with living_run(home, execution.flow_run_id()):
        _mark_dead_runs(home)
        return _carry_out(root, request, submit)


def _mark_dead_runs(home: Path) -> None:
    try:
        mark_dead_runs(home)
    except Exception as error:  # of the server: no reason not to run
        get_run_logger().warning("dead runs are not marked: %s", error)


def _carry_out(root: Path, request: RunRequest, submit: Submit) -> State:
    try:
        if any(value is not None for value in request.overrides.values()):
            return _run_in_copy(root, request, submit)
        return _run_in_workspace(root, request, submit)
    except (TandemError, GraphError) as error:
        execution.tell(f"error: {error}")
        return Failed(message=str(error))


def _run_in_workspace(root: Path, request: RunRequest, submit: Submit) -> State:
    started = datetime.now(UTC)
    params, targets = None, request.targets
    if (root / paths.PARAMS).exists():
        with planning(root):
            params, targets = _plan(root, request)
    run = execution.run_graph(root, targets, submit, jobs=request.jobs, force=request.force)
    if params is None:  # a DVC project, but none of Tandem's
        execution.publish_artifacts(run, _links_to_files(run))
        return execution.final_state(run.summary)
    return _publish_and_judge(_Finished(root, root, request, targets, params, run, started))


def _run_in_copy(root: Path, request: RunRequest, submit: Submit) -> State:
    from flows.copies import remove_old_copies
    from flows.overrides import only_experiment, read_overrides, run_with_overrides

    started = datetime.now(UTC)
    overrides = read_overrides(request.overrides)
    experiment = only_experiment(request.experiments)
    params = read_params(root / paths.PARAMS)
    _require_known("experiment", request.experiments, params.experiments)
    _require_known("framework", request.frameworks, frameworks_of(params, experiment))
    try:
        remove_old_copies(root)
    except TandemError as error:  # old rubbish is no reason not to run
        execution.tell(f"old copies stay: {error}")
    runs: list[GraphRun] = []

    def run(folder: Path, environment: Mapping[str, str]) -> bool:
        runs.append(
            execution.run_graph(folder, (), submit, jobs=request.jobs, force=request.force, environment=environment)
        )
        return not runs[0].summary.failed

    with run_with_overrides(root, experiment, request.frameworks, overrides, run, variables=os.environ) as overridden:
        if overridden.saved is not None:
            execution.tell(
                f"saved as the DVC experiment '{overridden.saved.name}'; "
                f"`dvc exp apply {overridden.saved.name}` restores it"
            )
        folder = overridden.copy.project
        params = read_params(folder / paths.PARAMS)
        return _publish_and_judge(_Finished(root, folder, request, (), params, runs[0], started, overrides.given))


def _plan(root: Path, request: RunRequest) -> tuple[Params, tuple[str, ...]]:
    """Write the plan, and take the results of other plans out; return what is declared, and what to run."""
    if request.search:
        params, plan, added = plan_search(root, request.search, request.frameworks)
        if added:
            execution.tell(f"'{request.search}' added to suite: searches: in {paths.PARAMS}")
        targets = search_targets(plan, request.search, request.frameworks)
    else:
        params = read_params(root / paths.PARAMS)
        plan = make_plan(params)
        targets = request.targets or experiment_targets(plan, request.experiments, request.frameworks)
        write_plan(plan, root / paths.RUNS)
    take_out_old_results(plan, root)
    return params, targets


def experiment_targets(plan: Plan, experiments: Sequence[str], frameworks: Sequence[str]) -> tuple[str, ...]:
    """Return the DVC stages that chosen experiments and frameworks mean; none: all of the plan.

    The comparison and the report need all frameworks of the plan; some of them mean their trainings and evaluations.

    Raises:
        ParameterError: an experiment or a framework is not in the plan.
    """
    known = list(dict.fromkeys(run.framework for run in plan.runs.values()))
    _require_known("experiment", experiments, plan.reports)
    _require_known("framework", frameworks, known)
    if set(frameworks) not in (set(), set(known)):
        return tuple(
            f"evaluate@{name}"
            for name, run in plan.runs.items()
            if run.framework in frameworks and (not experiments or run.experiment in experiments)
        )
    if set(experiments) in (set(), set(plan.reports)):
        return ()
    return tuple(f"report@{name}" for name in plan.reports if name in experiments)


def _require_known(kind: str, chosen: Sequence[str], known: Sequence[str] | Mapping[str, Any]) -> None:
    for name in chosen:
        if name not in known:
            raise ParameterError(f"{kind} '{name}' is not in the suite of {paths.PARAMS}; {suggest(name, known)}")


# --------------------------------------------------------------------------------------- after the graph


@dataclass(frozen=True)
class _Finished:
    """A run whose graph is done."""

    root: Path  # the workspace
    folder: Path  # where it ran: the workspace, or a copy of it
    request: RunRequest
    targets: tuple[str, ...]
    params: Params
    run: GraphRun
    started: datetime
    overrides: Mapping[str, int | float] = field(default_factory=dict)

    @property
    def runs(self) -> dict[tuple[str, str], Path]:
        """The metrics file, made or not, of each experiment and framework whose evaluation was in the run."""
        outs = [out for node in self.run.stages for out in node.outs]
        return {(out.parent.name, out.stem): out for out in outs if out.match(METRICS_PATTERN)}


def _publish_and_judge(finished: _Finished) -> State:
    """Publish first, so that the reports of a run that fails by its gate can be read."""
    results = check_gate(finished.params, {name: _read_json(path) for name, path in finished.runs.items()})
    refused = [result.text for result in results if not result.passed]
    for result in results:
        execution.tell(result.text)
    problems = list(refused)
    links = _links_to_files(finished.run)
    try:
        links = _publish(finished, refused) or links
    except TandemError as error:
        execution.tell(f"error: not published: {error}")
        problems.append(f"not published: {error}")
    execution.publish_artifacts(finished.run, links, [result.text for result in results])
    return execution.final_state(finished.run.summary, problems)


def _publish(finished: _Finished, refused: Sequence[str]) -> list[Link]:
    """Publish the reports of a run; return the links to them, or none if there is nothing to publish."""
    run, summary = finished.run, finished.run.summary
    pages = [page for page in run.reports if page.stem in make_plan(finished.params).reports]
    if not pages and not summary.failed:
        return []
    if not run.did_something and not finished.request.always_publish:
        return []
    state = execution.final_state(summary, refused)
    plan = make_plan(finished.params)
    experiments = finished.request.experiments or tuple(
        dict.fromkeys([*(page.stem for page in pages), *(name for name, _ in finished.runs)])
    )
    record = PublishedRun(
        id=new_run_id(finished.started),
        name=execution.flow_run_name(),
        started=finished.started,
        finished=datetime.now(UTC),
        outcome="completed" if state.is_completed() else "failed",
        message=state.message or "",
        experiments=tuple(name for name in plan.reports if name in experiments),
        frameworks=finished.request.frameworks
        or tuple(dict.fromkeys(framework for entry in plan.reports.values() for framework in entry.frameworks.split())),
        targets=finished.targets,
        overrides=dict(finished.overrides),
        metrics=tuple(metric for page in pages for metric in _main_metrics(finished.folder, page.stem)),
        failed=tuple(
            FailedStage(stage=outcome.stage, message=outcome.message)
            for outcome in summary.outcomes
            if outcome.state == "failed"
        ),
        commit=_commit(finished.root),
    )
    address = publish_run(pages, record, finished.root / PUBLISHED)
    base = os.environ.get(REPORTS_URL_VARIABLE) or (finished.root / PUBLISHED).resolve().as_uri()
    folder = f"{base.rstrip('/')}/{address.rsplit('/', 1)[0]}"
    execution.tell(f"published: {folder}/index.html")
    return [Link(page.stem, f"{folder}/{page.name}") for page in pages]


def _links_to_files(run: GraphRun) -> list[Link]:
    return [Link(report.stem, report.as_uri()) for report in run.reports]


def _main_metrics(folder: Path, experiment: str) -> tuple[MainMetric, ...]:
    try:
        return main_metrics(read_record(ComparisonRecord, folder / paths.comparison(experiment) / "comparison.json"))
    except TandemError:  # its report was made, so this is a file that somebody changed meanwhile
        return ()


def _read_json(path: Path) -> Mapping[str, Any] | None:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return read if isinstance(read, dict) else None


def _commit(root: Path) -> str | None:
    try:
        return git(root, "rev-parse", "HEAD").strip()
    except (RepositoryError, TandemError):
        return None
