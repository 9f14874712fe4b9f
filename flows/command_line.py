"""The ``tandem`` command."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stages import paths
from tandem.errors import DataError, ParameterError, TandemError, suggest

if TYPE_CHECKING:
    from tandem.plan import Plan

app = typer.Typer(
    help="Train an experiment in Keras and in PyTorch from one declaration, and compare the two.\n\n"
    "--debug, anywhere on the line, shows the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_STAGES = ("check", "index")


def main() -> None:
    """Run the command; a failure is one clear line on stderr and exit status 1, unless --debug asks for more."""
    from dvcgraph.errors import GraphError

    debug = "--debug" in sys.argv or bool(os.environ.get("TANDEM_DEBUG"))
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app()
    except (TandemError, GraphError) as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output is gone, as in `tandem plan | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"tandem {version('tandem')}")
        raise typer.Exit


@app.callback()
def _options(
    directory: Annotated[
        Path, typer.Option("--directory", "-C", help="The project's folder.", file_okay=False)
    ] = Path(),
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Train an experiment in Keras and in PyTorch from one declaration, and compare the two.

    --debug, anywhere on the line, shows the traceback of an error.
    """
    try:
        os.chdir(directory)
    except OSError as error:
        raise ParameterError(f"{directory}: {error.strerror}; name the project's folder") from None


@app.command()
def run(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Experiments and searches of the suite, or DVC stages; none: all of it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Run stages that have not changed, too.")] = False,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Threads that may work at a time; by default the cores.")
    ] = None,
) -> None:
    """Plan, then run what has changed through the Prefect flow, and say where the report is."""
    from flows.run import run_pipeline
    from tandem.config import read_params
    from tandem.plan import make_plan

    params = read_params(paths.PARAMS)
    plan = make_plan(params)
    stages = [_stage(target, list(plan.reports), params.experiments, params.searches) for target in targets or ()]
    console = Console(soft_wrap=False)
    _write_plan(plan, console)
    asked = [target for target in targets or () if target in plan.reports]
    pages = [paths.report(name) for name in asked] if targets else [paths.index()]
    status = run_pipeline(Path(), stages, force, console, pages, jobs=jobs)
    if status:
        raise typer.Exit(status)


@app.command()
def search(
    name: Annotated[str, typer.Argument(help="A search that params.yaml declares.")],
    framework: Annotated[
        list[str] | None, typer.Option("--framework", "-F", help="Search in this one alone; may be given twice.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Run stages that have not changed, too.")] = False,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Threads that may work at a time; by default the cores.")
    ] = None,
) -> None:
    """Search for the best settings of an experiment, train them, and say where the report is.

    A search that was interrupted goes on where it stood; one whose declaration, data and code are as they were is
    not repeated. A search that is not in the suite is added to it.
    """
    from flows.run import run_pipeline
    from flows.searching import best_line, plan_search, planning, search_targets
    from tandem.records import read_record
    from tandem.searches.records import SearchRecord

    console = Console(soft_wrap=False)
    frameworks = list(dict.fromkeys(framework or ()))
    with planning(Path()):
        _, plan, added = plan_search(Path(), name, frameworks)
        if added:
            console.print(Text(f"'{name}' added to suite: searches: in {paths.PARAMS}"))
        _write_plan(plan, console)
    targets = search_targets(plan, name, frameworks)
    compared = targets[0].startswith("report@")
    status = run_pipeline(Path(), targets, force, console, [paths.report(name)] if compared else (), jobs=jobs)
    if status:
        raise typer.Exit(status)
    for entry in plan.searches.values():
        if entry.search == name and (not frameworks or entry.framework in frameworks):
            found = read_record(SearchRecord, paths.trials(name, entry.framework) / "search.json")
            console.print(Text(best_line(found)), soft_wrap=True)


def _write_plan(plan: Plan, console: Console) -> bool:
    """Write runs.yaml, and take the results of other plans out of the folders that stages read as a whole."""
    from flows.cleaning import take_out_old_results
    from tandem.plan import write_plan

    changed = write_plan(plan, paths.RUNS)
    old = take_out_old_results(plan, Path())
    if old:
        console.print(Text(f"{len(old)} results of other plans left the workspace; they stay in DVC's cache"))
    return changed


def _stage(target: str, experiments: list[str], declared: Collection[str], searches: Collection[str]) -> str:
    """Return the stage that a word of the command line means: an experiment's or search's page, or itself."""
    if target in experiments:
        return f"report@{target}"
    if "@" in target or target in _STAGES:
        return target
    if target in declared:
        raise ParameterError(
            f"'{target}' is declared, but not in the suite; add it under suite: experiments: in {paths.PARAMS}"
        )
    if target in searches:
        raise ParameterError(
            f"'{target}' is a search that is not in the suite; `tandem search {target}` adds and runs it"
        )
    raise ParameterError(f"'{target}' is no experiment of the suite; {suggest(target, experiments)}")


@app.command()
def plan() -> None:
    """Write runs.yaml, the plan that follows from params.yaml."""
    from tandem.config import read_params
    from tandem.plan import make_plan

    console = Console()
    made = make_plan(read_params(paths.PARAMS))
    changed = _write_plan(made, console)
    table = Table("experiment", "data set", "frameworks", box=None, pad_edge=False)
    for entry in made.reports.values():
        table.add_row(entry.experiment, entry.dataset, entry.frameworks)
    console.print(table)
    state = "written" if changed else "is up to date"
    kinds = "experiments and searches" if made.searches else "experiments"
    console.print(Text(f"{paths.RUNS} {state}: {len(made.runs)} runs of {len(made.reports)} {kinds}"))


@app.command()
def suite(
    name: Annotated[str | None, typer.Argument(help="One of `suites` in params.yaml; none: list them.")] = None,
) -> None:
    """Choose what runs: copy one of `suites` to `suite` in params.yaml, and plan it."""
    from tandem.config import read_params
    from tandem.plan import make_plan, select_suite

    params = read_params(paths.PARAMS)
    console = Console()
    if name is None:
        table = Table("suite", "experiments", "frameworks", box=None, pad_edge=False)
        named = {known: declared for known, declared in params.suites.items() if declared == params.suite}
        shown = params.suites if named else {"(your own)": params.suite, **params.suites}
        for known, declared in shown.items():
            label = f"{known} (selected)" if declared == params.suite else known
            names = [*declared.experiments, *(f"{name} (search)" for name in declared.searches)]
            table.add_row(label, ", ".join(names), ", ".join(declared.frameworks))
        console.print(table)
        return
    own = params.suite if params.suite not in params.suites.values() else None
    changed = select_suite(params, name, paths.PARAMS)
    _write_plan(make_plan(read_params(paths.PARAMS)), console)
    if own is not None and changed:
        console.print(
            Text(
                f"it replaces your own suite, experiments: [{', '.join(own.experiments)}]; "
                "name it under suites to keep it"
            )
        )
    state = "selected" if changed else "was selected already"
    console.print(Text(f"suite '{name}' {state}; `tandem run` or `dvc repro` runs it"))


@app.command()
def predict(
    experiment: Annotated[str, typer.Argument(help="A trained experiment.")],
    file: Annotated[Path, typer.Argument(help="CSV or .npy with rows in original units.")],
    framework: Annotated[str, typer.Option("--framework", "-F", help="keras or torch.")],
    replicate: Annotated[int, typer.Option(min=0, help="Which of the trained replicates.")] = 0,
    fold: Annotated[int | None, typer.Option(min=0, help="Of a k-fold split: which fold's network.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="CSV to write; none: standard output.")] = None,
) -> None:
    """Predict on new rows: labels and probabilities, or values, as CSV."""
    from flows.trained import find_trained
    from tandem.prediction import predictions_table, read_features
    from tandem.storage import write_text

    trained = find_trained(experiment, framework, replicate, fold)
    features = read_features(file, trained.description)
    scaled = trained.load_scaler().transform(features)
    trained.architecture.check_rows(scaled)
    loaded, network = trained.load()
    raw = loaded.predict(network, scaled)
    table = predictions_table(trained.architecture, raw, trained.description)
    if output is None:
        sys.stdout.write(table)
    else:
        write_text(output, table)


@app.command()
def export(
    experiment: Annotated[str, typer.Argument(help="A trained experiment.")],
    framework: Annotated[str, typer.Argument(help="keras, torch or numpy.")],
    to: Annotated[Path, typer.Option("--to", help="The folder to write, which must not exist.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="Of Keras: keras, h5 or saved-model; of PyTorch: state-dict; of NumPy: npz; of each: json, the "
            "architecture alone.",
        ),
    ],
    replicate: Annotated[int, typer.Option(min=0, help="Which of the trained replicates.")] = 0,
    fold: Annotated[int | None, typer.Option(min=0, help="Of a k-fold split: which fold's network.")] = None,
) -> None:
    """Write a trained network in a format that other programs read, with its scaler and what it takes and gives."""
    from flows.trained import find_trained
    from tandem.export import EXPORT_FORMATS, check_target, export_network

    if format_ not in EXPORT_FORMATS:
        raise ParameterError(f"--format: '{format_}' is no format; {suggest(format_, EXPORT_FORMATS)}")
    check_target(to)
    trained = find_trained(experiment, framework, replicate, fold)
    scaler = trained.load_scaler()
    loaded, network = trained.load()
    record = export_network(
        loaded,
        network,
        trained.architecture,
        format_,
        to,
        description=trained.description,
        scaler=scaler,
        experiment=experiment,
        replicate=replicate,
        fold=trained.training.fold,
    )
    print(f"{to}: {', '.join(record.files)}, with export.json and scaler.json")


@app.command()
def new(
    file: Annotated[
        Path, typer.Argument(help="CSV or Parquet; a folder with features.npy and targets.npy; a folder of images.")
    ],
    target: Annotated[str | None, typer.Option("--target", "-t", help="The column to predict.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the data set; by default the file's.")] = None,
    task: Annotated[str | None, typer.Option(help="classification or regression, where the guess is wrong.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Between the cells; by default guessed.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of the text; by default guessed.")] = None,
    decimal: Annotated[str | None, typer.Option(help="'.' or ','; by default guessed.")] = None,
    size: Annotated[
        tuple[int, int] | None, typer.Option(metavar="HEIGHT WIDTH", min=1, help="Bring images to it, in pixels.")
    ] = None,
) -> None:
    """Add your own data: guess its types, and write a first data set, experiment and suite into params.yaml."""
    from flows.new_dataset import NewOptions, add_dataset
    from tandem.datasets.inference import read_task

    options = NewOptions(target, name, read_task(task), delimiter, encoding, decimal, size)
    add_dataset(file, options, paths.PARAMS, Console())


@app.command()
def report(
    experiment: Annotated[str | None, typer.Argument(help="An experiment of the suite; none: the index.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Say what the reports say, and where they are."""
    from tandem.plan import read_plan
    from tandem.records import ComparisonRecord, read_record

    known = read_plan(paths.RUNS).reports
    if experiment is not None and experiment not in known:
        raise ParameterError(f"'{experiment}' is no experiment of the suite; {suggest(experiment, known)}")
    page = (paths.index() if experiment is None else paths.report(experiment)).resolve()
    if not page.exists():
        raise DataError(f"{page}: missing; run `tandem run` to make it")
    console = Console()
    for name in known if experiment is None else [experiment]:
        comparison = paths.comparison(name) / "comparison.json"
        if comparison.exists():
            console.print(Text(name, style="bold"))
            console.print(Text(f"  {read_record(ComparisonRecord, comparison).verdict}"))
    console.print(Text(f"report: {page.as_uri()}"), soft_wrap=True)
    if open_:
        webbrowser.open(page.as_uri())


@app.command()
def tutorials(
    page: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/tutorials.md"),
    note: Annotated[str, typer.Option(help="A paragraph on how the results were made.")] = "",
) -> None:
    """Write how the tutorials' systems and claims fared, from the results that are there."""
    from flows.tutorials import write_page

    found = write_page(page, note)
    experiments = len({experiment for experiment, _ in found})
    Console().print(Text(f"{page}: written from the results of {experiments} experiments"), soft_wrap=True)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Of Prefect's pages.")] = 4200,
    reports_port: Annotated[int, typer.Option(help="Of the reports.")] = 4201,
    limit: Annotated[int, typer.Option(help="Flow runs at a time.")] = 2,
    nightly: Annotated[
        str | None, typer.Option(metavar="CRON", help="Run the pipeline by itself, for instance at '0 3 * * *'.")
    ] = None,
) -> None:
    """Start Prefect's pages, from which runs are started, and the published reports; Ctrl-C stops all of it."""
    from flows.ui import UiOptions, run_ui

    console = Console()
    options = UiOptions(port, reports_port, limit, nightly)
    run_ui(Path(), options, lambda line: console.print(Text(line), soft_wrap=True))


@app.command()
def publish(
    target: Annotated[str, typer.Argument(help="A folder, or a URL such as s3://BUCKET/FOLDER.")],
    keep: Annotated[int | None, typer.Option(min=1, help="Keep only so many of the newest runs there.")] = None,
) -> None:
    """Bring the reports of all published runs, with their index, to a folder or a store."""
    from flows.publishing import PUBLISHED, publish_site, remove_old_runs

    publication = publish_site(Path(PUBLISHED), target)
    removed = remove_old_runs(target, keep) if keep else []
    console = Console()
    console.print(
        Text(f"{publication.runs} runs published to {publication.address}, {publication.files} files written"),
        soft_wrap=True,
    )
    if removed:
        console.print(Text(f"{len(removed)} old runs removed there"))


@app.command()
def devices() -> None:
    """Show the devices of this machine, who holds them, and who waits for them."""
    from flows.devices import show_devices

    table, lines = show_devices(os.environ)
    console = Console()
    console.print(table)
    for line in lines:
        console.print(line, soft_wrap=True)


@app.command()
def doctor(
    json: Annotated[bool, typer.Option("--json", help="Write JSON, for machines.")] = False,
    limit: Annotated[float, typer.Option(min=1, help="Seconds that each framework may take to answer.")] = 60,
) -> None:
    """Say whether the suite can run here: interpreter, GPUs, frameworks, packages, project; and what to do."""
    from tandem.doctor.command import run_doctor

    status = run_doctor(Path.cwd(), as_machine=json, limit=limit)
    if status:
        raise typer.Exit(status)


@app.command()
def clean(
    cache: Annotated[
        bool,
        typer.Option("--cache", help="Also drop results of old runs from DVC's cache (dvc gc --workspace)."),
    ] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove what nothing needs: outs and unfinished trainings of old plans, half-written files, old copies."""
    from flows.cleaning import collect_garbage, remove, stale_paths
    from flows.copies import old_copies, remove_old_copies
    from tandem.plan import read_plan

    console = Console()
    found = stale_paths(read_plan(paths.RUNS), Path())
    freed = 0
    for path in found:
        freed += remove(path, dry=dry)
        console.print(Text(f"{'would remove' if dry else 'removed'} {path}"), soft_wrap=True)
    console.print(
        Text(f"{len(found)} paths, {freed / 1e6:.1f} MB {'would be ' if dry else ''}removed from the workspace")
    )
    copies = old_copies(Path()) if dry else remove_old_copies(Path())
    if copies:
        console.print(Text(f"{len(copies)} old copies of runs with overrides {'would be ' if dry else ''}removed"))
    if cache and not dry:
        console.print(Text(collect_garbage(Path())))


if __name__ == "__main__":
    main()
