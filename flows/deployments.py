"""The deployments ``pipeline``, ``search`` and ``publish``: flows with forms, and the process that serves them.

Run as a program by :mod:`flows.ui`, in the project's folder, this serves them until its standard input ends; then
it ends the flow runs that it started.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import available_timezones

from prefect import Flow, flow
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.settings import get_current_settings
from prefect.states import State
from prefect.utilities.callables import ParameterSchema
from pydantic import Field

from flows.dead_runs import living_process
from flows.pipeline import submit_stage
from flows.publish_request import publish_request
from flows.run_request import RunRequest, run_request
from stages import paths
from tandem.config import BatchSize, Epochs, Params, Replicates, read_params
from tandem.plan import Plan, make_plan, search_frameworks

MOST_JOBS = 256
READY = "ready"
_GRACE_SECONDS = 12.0  # for flow runs to end their stages, when the server is to stop
_POLL_SECONDS = 1.0
_ASK_SECONDS = 2.0  # between two looks for runs that should start

LearningRate = Annotated[float, Field(gt=0, le=1000)]
Jobs = Annotated[int, Field(ge=1, le=MOST_JOBS)]
Kept = Annotated[int, Field(ge=1, le=100_000)]
Target = Annotated[str, Field(min_length=1, max_length=1000)]


@flow(name="pipeline", persist_result=False)
def pipeline(
    experiments: list[str] | None = None,
    frameworks: list[str] | None = None,
    force: bool = False,
    parallel: Jobs | None = None,
    learning_rate: LearningRate | None = None,
    epochs: Epochs | None = None,
    batch_size: BatchSize | None = None,
    replicates: Replicates | None = None,
) -> State:
    """Train, evaluate and compare what has changed, and publish the reports.

    The last four fields are for **one** experiment at a time: the run then takes them instead of the declared
    numbers, works in a copy of the project, and is saved as an experiment of DVC (`dvc exp show` lists it).

    Args:
        experiments: Which experiments of the plan; none chosen: all.
        frameworks: Which frameworks; none chosen: all. Without the others, experiments are not compared.
        force: Run stages that have not changed, too.
        parallel: How many threads the stages may use at a time; empty: one for each core.
        learning_rate: Of the optimizer, for one experiment; empty: as declared.
        epochs: The most passes over the training rows, for one experiment; empty: as declared.
        batch_size: Training rows to a step, for one experiment; empty: as declared.
        replicates: Trainings that differ in their seed alone, for one experiment; empty: as declared.
    """
    request = RunRequest(
        experiments=tuple(experiments or ()),
        frameworks=tuple(frameworks or ()),
        force=force,
        jobs=parallel,
        overrides={
            "learning_rate": learning_rate,
            "epochs": epochs,
            "batch_size": batch_size,
            "replicates": replicates,
        },
        always_publish=True,
    )
    with ending_with_parent():
        return run_request(Path.cwd(), request, submit_stage)


@flow(name="search", persist_result=False)
def search(
    search: str, frameworks: list[str] | None = None, force: bool = False, parallel: Jobs | None = None
) -> State:
    """Search for the best settings of an experiment, train them, and publish the report.

    The best settings so far are in the run's artifacts. A search that was interrupted goes on where it stood; several
    searches at once share the devices. One that is not in the suite is added to it.

    Args:
        search: Which of the searches that params.yaml declares.
        frameworks: Which of its frameworks; none chosen: all. Without the others, they are not compared.
        force: Search anew even if nothing has changed.
        parallel: How many threads the stages may use at a time; empty: one for each core.
    """
    request = RunRequest(
        search=search, frameworks=tuple(frameworks or ()), force=force, jobs=parallel, always_publish=True
    )
    with ending_with_parent():
        return run_request(Path.cwd(), request, submit_stage)


@flow(name="publish", persist_result=False)
def publish(target: Target, keep: Kept | None = None) -> State:
    """Bring the reports of all published runs to another place.

    Args:
        target: A folder, or a URL that fsspec can write to, such as s3://BUCKET/FOLDER.
        keep: How many of the newest runs stay at the target; empty: all.
    """
    return publish_request(Path.cwd(), target, keep)


# ---------------------------------------------------------------------------------------------- the forms


def form_schema(schema: ParameterSchema, choices: dict[str, list[str]]) -> ParameterSchema:
    """Turn the schema of a flow's parameters into that of a flat form.

    A choice among names becomes a selection, a multiple one where the parameter is a list; a number that may be left
    out becomes a plain field that may stay empty (Prefect's pages would show a switch between two types); a name
    becomes a title.

    Args:
        schema: as Prefect makes it from the function.
        choices: the names to choose from, by parameter.
    """
    form = schema.model_copy(deep=True)
    for name, entry in form.properties.items():
        options = [option for option in entry.pop("anyOf", ()) if option.get("type") != "null"]
        for option in options[:1]:
            entry |= option
        if entry.get("default", ...) is None:
            del entry["default"]
        if name in choices and entry["type"] == "string":
            entry["enum"] = choices[name]
        elif name in choices:
            entry |= {"items": {"type": "string", "enum": choices[name]}, "uniqueItems": True, "default": []}
        entry["title"] = name.replace("_", " ").capitalize()
    return form


def pipeline_deployment(plan: Plan, nightly: str | None = None) -> RunnerDeployment:
    """Return the deployment ``pipeline`` with the plan's choices.

    Args:
        plan: names the experiments and frameworks.
        nightly: when it runs by itself, as a cron line in local time.
    """
    frameworks = list(dict.fromkeys(run.framework for run in plan.runs.values()))
    deployment = RunnerDeployment.from_flow(
        pipeline,
        name="pipeline",
        description=_description(pipeline),
        schedule=Cron(nightly, timezone=_time_zone()) if nightly else None,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    choices = {"experiments": list(plan.reports), "frameworks": frameworks}
    deployment._parameter_openapi_schema = form_schema(deployment._parameter_openapi_schema, choices)
    return deployment


def search_deployment(params: Params) -> RunnerDeployment:
    """Return the deployment ``search`` with the searches that are declared, in the suite or not."""
    deployment = RunnerDeployment.from_flow(
        search, name="search", description=_description(search), entrypoint_type=EntrypointType.MODULE_PATH
    )
    frameworks = [framework for name in params.searches for framework in search_frameworks(params, name)]
    choices: dict[str, list[str]] = {
        "search": list(params.searches),
        "frameworks": list(dict.fromkeys(frameworks)),
    }
    deployment._parameter_openapi_schema = form_schema(deployment._parameter_openapi_schema, choices)
    return deployment


def publish_deployment() -> RunnerDeployment:
    """Return the deployment ``publish``."""
    deployment = RunnerDeployment.from_flow(
        publish, name="publish", description=_description(publish), entrypoint_type=EntrypointType.MODULE_PATH
    )
    deployment._parameter_openapi_schema = form_schema(deployment._parameter_openapi_schema, {})
    return deployment


def _description(described: Flow[..., Any]) -> str:
    """Return what a flow's docstring says before its arguments, a line for each paragraph: pages keep line ends."""
    text = inspect.cleandoc(described.fn.__doc__ or "").partition("Args:")[0].strip()
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _time_zone() -> str:
    """Return the name of this machine's time zone; UTC if it has none."""
    named = os.environ.get("TZ") or str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2]
    return named if named in available_timezones() else "UTC"


# ------------------------------------------------------------------------------------------------ serving


@contextmanager
def ending_with_parent() -> Iterator[None]:
    """Ask this process to end when the one that started it is gone, inside the block.

    A process that serves deployments may be killed; its flow runs would go on with nobody to cancel them.
    """
    parent = os.getppid()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_POLL_SECONDS):
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)
                if not over.wait(_GRACE_SECONDS):
                    os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def serve_deployments(root: Path, limit: int, nightly: str | None, ready: int) -> None:
    """Serve the deployments for ever; ``search`` where a search is declared.

    Args:
        root: the project's folder.
        limit: how many flow runs may go on at a time.
        nightly: when ``pipeline`` runs by itself, as a cron line.
        ready: file descriptor that is told when all are registered.
    """

    async def serve(deployments: list[Any]) -> None:
        runner = Runner(name="tandem", limit=limit, pause_on_shutdown=False, query_seconds=_ASK_SECONDS)
        for deployment in deployments:
            await runner.aadd_deployment(deployment)
        os.write(ready, f"{READY}\n".encode())
        os.close(ready)
        await runner.start()

    with living_process(get_current_settings().home):
        params = read_params(root / paths.PARAMS)
        searching = [search_deployment(params)] if params.searches else []
        asyncio.run(serve([pipeline_deployment(make_plan(params), nightly), *searching, publish_deployment()]))


def _end_group_with_owner() -> None:
    """End this process and the flow runs that it started when the owner closes the pipe, or is gone."""
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Serve: arguments are the limit, the cron line or "", and the file descriptor to say "ready" on."""
    limit, nightly, ready = arguments
    threading.Thread(target=_end_group_with_owner, daemon=True).start()
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        serve_deployments(Path.cwd(), int(limit), nightly or None, int(ready))


if __name__ == "__main__":
    from flows import deployments  # under its own name, which the entry points of the flows use

    deployments.main(sys.argv[1:])
