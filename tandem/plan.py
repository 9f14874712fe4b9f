"""The plan that follows from params.yaml: one entry a run, spelled out for DVC's templates."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from tandem import datasets
from tandem.config import Dataset, FrameworkName, Params, Suite, load_plain_yaml, load_yaml
from tandem.declared import Declared
from tandem.errors import ParameterError, suggest
from tandem.frameworks import framework_names
from tandem.storage import write_text

_HEADER = "What runs, one entry a run: written by `tandem plan` from params.yaml; do not edit it by hand."
# In place of a file or folder that is not there, a module that the stage depends on anyway: DVC's templates know no
# condition.
NO_WEIGHTS = "tandem/weight_file.py"
NO_LADDER = "tandem/parity/records.py"
NO_TRIALS = "tandem/searches/records.py"
_TRIALS = "trials"


class DatasetEntry(Declared):
    """A data set that the suite uses, and the module under tandem/datasets that gives it.

    ``file`` is the user's file or folder that it reads; for a source that brings its data, the module's own file.
    """

    dataset: str
    source: str
    file: str


class TrainingEntry(Declared):
    """One experiment to be trained in one framework.

    ``weights`` is the file that its initial weights are read from; without one, a module that it depends on anyway.
    """

    experiment: str
    dataset: str
    framework: str
    weights: str


class SearchEntry(Declared):
    """One search in one framework; ``experiment`` is the one whose settings it varies, ``weights`` its file.

    ``threads`` names the parameter that says how many it takes.
    """

    search: str
    experiment: str
    dataset: str
    framework: str
    weights: str
    threads: str


class LadderEntry(Declared):
    """One experiment's parity ladder; ``frameworks`` are names with blanks between them, ``weights`` its file."""

    experiment: str
    dataset: str
    frameworks: str
    weights: str


class RunEntry(Declared):
    """What was trained in one framework: an experiment, or a search's best setting under the search's name.

    ``declared`` is the experiment itself, or the one whose settings the search varies; ``threads`` names the parameter
    that says how many it was trained with.
    """

    experiment: str
    dataset: str
    framework: str
    declared: str
    threads: str


class ReportEntry(Declared):
    """The comparison and report of an experiment or a search; ``frameworks`` are names with blanks between them.

    ``ladder`` is the file of an experiment's parity ladder, ``trials`` the folder of a search's trials.
    """

    experiment: str
    dataset: str
    frameworks: str
    ladder: str
    trials: str


class Plan(Declared):
    """The whole plan, under the key ``plan`` of runs.yaml.

    ``runs`` and ``reports`` are of experiments and searches; ``trials`` is the folder of all searches' trials.
    """

    datasets: dict[str, DatasetEntry]
    trainings: dict[str, TrainingEntry]
    ladders: dict[str, LadderEntry]
    searches: dict[str, SearchEntry]
    runs: dict[str, RunEntry]
    reports: dict[str, ReportEntry]
    trials: str


def make_plan(params: Params) -> Plan:
    """Spell out the suite, in its order: experiments, then searches.

    Raises:
        ParameterError: a framework's package is missing.
    """
    suite = params.suite
    trained = {name: frameworks_of(params, name) for name in suite.experiments}
    searched = {name: search_frameworks(params, name) for name in suite.searches}
    frameworks = trained | searched
    _check_frameworks(frameworks)
    declared = {name: name for name in trained} | {name: params.searches[name].experiment for name in searched}
    used = {name: params.experiments[experiment].dataset for name, experiment in declared.items()}
    weights = {name: params.experiments[declared[name]].weights_file or NO_WEIGHTS for name in declared}
    threads = {name: _threads_parameter(params, name, experiment) for name, experiment in declared.items()}
    return Plan(
        datasets={name: _dataset_entry(name, params.datasets[name]) for name in dict.fromkeys(used.values())},
        trainings={
            f"{name}-{framework}": TrainingEntry(
                experiment=name, dataset=used[name], framework=framework, weights=weights[name]
            )
            for name, framework in _pairs(trained)
        },
        ladders={
            name: LadderEntry(
                experiment=name, dataset=used[name], frameworks=" ".join(trained[name]), weights=weights[name]
            )
            for name in trained
        },
        searches={
            f"{name}-{framework}": SearchEntry(
                search=name,
                experiment=declared[name],
                dataset=used[name],
                framework=framework,
                weights=weights[name],
                threads=threads[name],
            )
            for name, framework in _pairs(searched)
        },
        runs={
            f"{name}-{framework}": RunEntry(
                experiment=name,
                dataset=used[name],
                framework=framework,
                declared=declared[name],
                threads=threads[name],
            )
            for name, framework in _pairs(frameworks)
        },
        reports={
            name: ReportEntry(
                experiment=name,
                dataset=used[name],
                frameworks=" ".join(frameworks[name]),
                ladder=f"ladder/{name}.json" if name in trained else NO_LADDER,
                trials=f"{_TRIALS}/{name}" if name in searched else NO_TRIALS,
            )
            for name in frameworks
        },
        trials=_TRIALS if searched else NO_TRIALS,
    )


def _pairs(frameworks: Mapping[str, Sequence[FrameworkName]]) -> Iterator[tuple[str, FrameworkName]]:
    return ((name, framework) for name, named in frameworks.items() for framework in named)


def _threads_parameter(params: Params, name: str, experiment: str) -> str:
    """Return the name of the parameter that says how many threads an experiment or a search takes."""
    if name in params.suite.searches and params.searches[name].threads is not None:
        return f"searches.{name}.threads"
    return f"experiments.{experiment}.training.threads"


def _check_frameworks(frameworks: Mapping[str, Sequence[FrameworkName]]) -> None:
    missing = sorted({framework for _, framework in _pairs(frameworks)} - set(framework_names()))
    if missing:
        raise ParameterError(
            f"frameworks: '{missing[0]}' has no package below tandem/frameworks, which holds "
            f"{', '.join(framework_names())}; remove it from the suite, or install a version that has it"
        )


def frameworks_of(params: Params, experiment: str) -> tuple[FrameworkName, ...]:
    """Return the frameworks that train an experiment: its own, or else the suite's."""
    return params.experiments[experiment].frameworks or params.suite.frameworks


def search_frameworks(params: Params, search: str) -> tuple[FrameworkName, ...]:
    """Return the frameworks that search: the search's own, or else its experiment's, or else the suite's."""
    declared = params.searches[search]
    return declared.frameworks or frameworks_of(params, declared.experiment)


def _dataset_entry(name: str, declared: Dataset) -> DatasetEntry:
    source = declared.source.name
    options = datasets.read_options(source, declared.source.options)
    file = datasets.source(source).location(options) or f"tandem/datasets/{source}.py"
    return DatasetEntry(dataset=name, source=source, file=file)


def read_plan(path: Path) -> Plan:
    """Read runs.yaml.

    Raises:
        ParameterError: missing, or not as `tandem plan` writes it.
    """
    if not path.exists():
        raise ParameterError(f"{path}: missing; run `tandem plan` to write it")
    document = load_plain_yaml(path)
    try:
        return Plan.model_validate(document["plan"])
    except (ValidationError, KeyError, TypeError):
        raise ParameterError(f"{path}: not as `tandem plan` writes it; run `tandem plan` again") from None


def write_plan(plan: Plan, path: Path) -> bool:
    """Write runs.yaml, keeping the comments that stand in it; return whether it changed.

    A file that says the plan already stays as it is; one that is no YAML is written anew.

    Raises:
        StorageError: it could not be written.
    """
    old = None
    with contextlib.suppress(ParameterError):  # what is no plan is written anew
        old = load_yaml(path)
        if _same(read_plan(path), plan):
            return False
    document = old if isinstance(old, CommentedMap) else CommentedMap()
    if not isinstance(old, CommentedMap):
        document.yaml_set_start_comment(_HEADER)
    _assign(document, "plan", plan.model_dump())
    yaml = YAML(typ="rt")
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(document, stream)
    write_text(path, stream.getvalue())
    return True


def _same(one: Plan, other: Plan) -> bool:
    """Return whether two plans name the same things in the same order."""
    return one == other and all(list(getattr(one, part)) == list(getattr(other, part)) for part in Plan.model_fields)


def check_plan(params: Params, path: Path) -> None:
    """Check that runs.yaml is the plan of params.yaml.

    Raises:
        ParameterError: it is not; says what is missing or too much.
    """
    expected, found = make_plan(params), read_plan(path)
    if _same(found, expected):
        return
    missing = [name for name in expected.runs if name not in found.runs]
    extra = [name for name in found.runs if name not in expected.runs]
    parts = [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"has {', '.join(extra)}, which the suite does not"] if extra else []
    detail = "; ".join(parts) or "differs in data sets, frameworks or order"
    raise ParameterError(f"{path}: not the plan of params.yaml: it {detail}; run `tandem plan`")


def select_suite(params: Params, name: str, path: Path) -> bool:
    """Copy one of ``suites`` to ``suite`` in params.yaml; return whether it changed.

    Only the lists that differ are written: every other byte of the file stays, comments and layout too.

    Raises:
        ParameterError: there is no such suite, or ``suite`` shares a list with other keys (a YAML anchor).
        StorageError: params.yaml could not be written.
    """
    if name not in params.suites:
        raise ParameterError(f"suite '{name}' is not declared under suites in {path}; {suggest(name, params.suites)}")
    chosen = {key: list(getattr(params.suites[name], key)) for key in Suite.model_fields}
    old = path.read_bytes().decode("utf-8")
    new = _with_suite(params, chosen, old, path)
    if new != old:
        write_text(path, new)
    return new != old


def with_search(params: Params, name: str, path: Path) -> str:
    """Return the text of params.yaml with a search in ``suite``; as it is where it is in there.

    Raises:
        ParameterError: there is no such search, or ``suite`` shares a list with other keys (a YAML anchor).
    """
    if name not in params.searches:
        known = suggest(name, params.searches) if params.searches else "none is declared"
        raise ParameterError(f"search '{name}' is not declared under searches in {path}; {known}")
    text = path.read_bytes().decode("utf-8")
    if name in params.suite.searches:
        return text
    return _with_suite(params, {"searches": [*params.suite.searches, name]}, text, path)


def _with_suite(params: Params, wanted: Mapping[str, list[str]], old: str, path: Path) -> str:
    """Return the text of params.yaml with other entries in lists of ``suite``."""
    with contextlib.suppress(YAMLError):  # an alias that has lost its anchor
        text = old
        for key, names in wanted.items():
            if names != list(getattr(params.suite, key)):
                text = _with_list(text, key, names)
        if _without_suite(text) == _without_suite(old):
            return text
    raise ParameterError(
        f"{path}: suite shares a list with other keys by an anchor (& or *); write the list out and try again"
    )


def _without_suite(text: str) -> dict[str, Any]:
    return {**YAML(typ="safe", pure=True).load(text), "suite": None}


def _with_list(text: str, key: str, wanted: list[str]) -> str:
    """Return params.yaml with one list of ``suite`` replaced, in the style that it has."""
    suite = next(value for name, value in YAML(typ="rt").compose(text).value if name.value == "suite")
    node = next((value for name, value in suite.value if name.value == key), None)
    flow = f"[{', '.join(wanted)}]"
    if node is None:
        place = suite.value[0][0].start_mark
        after = ", " if suite.flow_style else _newline(text) + " " * place.column
        return f"{text[: place.index]}{key}: {flow}{after}{text[place.index :]}"
    if node.flow_style:
        return text[: node.start_mark.index] + flow + text[node.end_mark.index :]
    return _with_block_list(text, node, wanted)


def _with_block_list(text: str, node: Any, wanted: list[str]) -> str:
    """Replace a list with one entry a line; an entry that stays keeps its line and the comments before it."""
    lines = text.splitlines(keepends=True)
    first, end = node.start_mark.line, node.start_mark.line
    kept: dict[str, list[str]] = {}
    for item in node.value:
        kept[item.value] = lines[end : item.end_mark.line + 1]
        end = item.end_mark.line + 1
    indent, newline = " " * node.start_mark.column, _newline(text)
    made = [line for entry in wanted for line in kept.get(entry, [f"{indent}- {entry}"])] or [f"{indent}  []"]
    made = [line if line.endswith("\n") else line + newline for line in made]
    return "".join([*lines[:first], *made, *lines[end:]])


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _assign(mapping: Any, key: str, value: Any) -> None:
    """Set a value in place, so that comments and the style of lists stay."""
    old = mapping.get(key)
    if isinstance(value, dict) and isinstance(old, CommentedMap):
        for gone in [name for name in old if name not in value]:
            del old[gone]
        for name, inner in value.items():
            _assign(old, name, inner)
            old.move_to_end(name)
    elif isinstance(value, list) and isinstance(old, list):
        if list(old) != value:
            old[:] = value
    elif old != value or key not in mapping:
        mapping[key] = value
