"""Where everything lies, relative to the workspace; ``dvc.yaml`` spells the same paths."""

from __future__ import annotations

from pathlib import Path

PARAMS = Path("params.yaml")
RUNS = Path("runs.yaml")


def checked() -> Path:
    """Return the constant out of the ``check`` stage."""
    return Path("build/checked")


def equivalence() -> Path:
    """Return the margins of equivalence as params.yaml declares them."""
    return Path("build/equivalence.json")


def raw(dataset: str) -> Path:
    """Return the folder of a data set's files as its source gives them."""
    return Path("data/raw") / dataset


def fit(dataset: str) -> Path:
    """Return the folder of the training and validation rows."""
    return Path("data/split") / dataset / "fit"


def test(dataset: str) -> Path:
    """Return the folder of the test rows, which only ``evaluate`` reads."""
    return Path("data/split") / dataset / "test"


def scaler(dataset: str) -> Path:
    """Return the folder of the fitted scalers."""
    return Path("data/scale") / dataset


def model(experiment: str, framework: str) -> Path:
    """Return the folder of a trained run."""
    return Path("models") / experiment / framework


def history(experiment: str, framework: str) -> Path:
    """Return the table of all epochs that ``dvc plots`` draws."""
    return Path("history") / experiment / f"{framework}.csv"


def timing(experiment: str, framework: str) -> Path:
    """Return the file of a training's wall-clock cost."""
    return Path("timings") / experiment / f"{framework}.json"


def logs(experiment: str, framework: str) -> Path:
    """Return the folder of a training's TensorBoard logs."""
    return Path("logs") / experiment / framework


def evaluation(experiment: str, framework: str) -> Path:
    """Return the folder of a run's results on the test rows."""
    return Path("evaluation") / experiment / framework


def metrics(experiment: str, framework: str) -> Path:
    """Return the flat file that ``dvc metrics`` shows."""
    return Path("metrics") / experiment / f"{framework}.json"


def parity(experiment: str, framework: str) -> Path:
    """Return the folder of what a framework computed on the parity ladder."""
    return Path("parity") / experiment / framework


def ladder(experiment: str) -> Path:
    """Return the record of how far the frameworks agree, rung by rung."""
    return Path("ladder") / f"{experiment}.json"


def comparison(experiment: str) -> Path:
    """Return the folder of an experiment's comparison."""
    return Path("comparison") / experiment


def report(experiment: str) -> Path:
    """Return an experiment's report page."""
    return Path("reports") / f"{experiment}.html"


def index() -> Path:
    """Return the index over the suite's report pages."""
    return Path("reports/index.html")


def trials(search: str, framework: str) -> Path:
    """Return the folder of a search's trials and of its best setting."""
    return Path("trials") / search / framework


def trial_timing(search: str, framework: str) -> Path:
    """Return the table of what each trial took."""
    return Path("timings") / search / f"{framework}-trials.csv"


def journal(search: str, framework: str) -> Path:
    """Return the folder of an unfinished search's trials; no out of DVC."""
    return Path(".searches") / search / framework


def checkpoints(experiment: str, framework: str) -> Path:
    """Return the folder of an unfinished training's checkpoints; no out of DVC."""
    return Path(".checkpoints") / experiment / framework
