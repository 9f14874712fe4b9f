"""The plan in runs.yaml, and choosing a suite in params.yaml without disturbing anything else in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tandem.config import parse_params, read_params
from tandem.errors import ParameterError
from tandem.plan import (
    NO_LADDER,
    NO_TRIALS,
    NO_WEIGHTS,
    check_plan,
    make_plan,
    read_plan,
    select_suite,
    with_search,
    write_plan,
)

REPOSITORY = Path(__file__).resolve().parents[2]
COMMITTED = REPOSITORY / "params.yaml"


@pytest.fixture
def params(write_params):
    return read_params(write_params())


@pytest.fixture
def runs(tmp_path) -> Path:
    return tmp_path / "runs.yaml"


# ------------------------------------------------------------------------------------------------- the plan


@pytest.mark.parametrize("name", list(read_params(COMMITTED).suites))
def test_the_plan_of_each_committed_suite_spells_out_its_runs_in_order(name):
    params = read_params(COMMITTED)
    suite = params.suites[name]
    plan = make_plan(params.model_copy(update={"suite": suite}))
    assert list(plan.reports) == [*suite.experiments, *suite.searches]
    trained = {e: params.experiments[e].frameworks or suite.frameworks for e in suite.experiments}
    searched = {s: params.searches[s].frameworks or suite.frameworks for s in suite.searches}
    assert list(plan.trainings) == [f"{e}-{f}" for e in trained for f in trained[e]]
    assert list(plan.searches) == [f"{s}-{f}" for s in searched for f in searched[s]]
    assert list(plan.runs) == [*plan.trainings, *plan.searches]
    assert list(plan.ladders) == list(suite.experiments)
    assert {entry.dataset for entry in plan.runs.values()} == set(plan.datasets)
    for name, entry in plan.datasets.items():
        assert (REPOSITORY / f"tandem/datasets/{entry.source}.py").exists()
        assert params.datasets[name].source.name == entry.source
    frameworks = {name: " ".join(given) for name, given in (trained | searched).items()}
    assert {name: entry.frameworks for name, entry in plan.reports.items()} == frameworks


SEARCH = """\
searches:
  wide-grid:
    description: Seeks.
    experiment: wide
    strategy: grid
    space: {optimizer.learning_rate: {choices: [0.1, 0.2]}}
    metric: mse
    frameworks: [torch]
"""


@pytest.fixture
def searching(write_params) -> Path:
    """The small params.yaml with a search that is not in the suite."""
    path: Path = write_params()
    path.write_text(path.read_text() + SEARCH)
    return path


def test_a_search_is_planned_like_a_trained_experiment_with_trials_in_place_of_a_ladder(searching):
    plan = make_plan(parse_params(with_search(read_params(searching), "wide-grid", searching), searching))
    assert plan.searches["wide-grid-torch"].model_dump() == {
        "search": "wide-grid", "experiment": "wide", "dataset": "diabetes", "framework": "torch",
        "weights": NO_WEIGHTS, "threads": "experiments.wide.training.threads",
    }  # fmt: skip
    assert plan.runs["wide-grid-torch"].model_dump() == {
        "experiment": "wide-grid", "dataset": "diabetes", "framework": "torch", "declared": "wide",
        "threads": "experiments.wide.training.threads",
    }  # fmt: skip
    assert plan.reports["wide-grid"].model_dump() == {
        "experiment": "wide-grid", "dataset": "diabetes", "frameworks": "torch",
        "ladder": NO_LADDER, "trials": "trials/wide-grid",
    }  # fmt: skip
    assert plan.trials == "trials"
    assert plan.reports["coffee"].ladder == "ladder/coffee.json"
    assert plan.reports["coffee"].trials == NO_TRIALS
    assert not [name for part in (plan.trainings, plan.ladders) for name in part if name.startswith("wide-grid")]


def test_a_search_may_take_threads_of_its_own(searching):
    text = with_search(read_params(searching), "wide-grid", searching)
    plan = make_plan(parse_params(text.replace("    metric: mse\n", "    metric: mse\n    threads: 3\n"), searching))
    assert plan.searches["wide-grid-torch"].threads == "searches.wide-grid.threads"
    assert plan.runs["wide-grid-torch"].threads == "searches.wide-grid.threads"
    assert plan.runs["coffee-keras"].threads == "experiments.coffee.training.threads"


def test_what_stands_in_for_a_missing_file_is_there():
    assert all((REPOSITORY / path).exists() for path in (NO_WEIGHTS, NO_LADDER, NO_TRIALS))


def test_adding_a_search_to_the_suite_changes_that_list_alone(searching):
    before = searching.read_text()
    after = with_search(read_params(searching), "wide-grid", searching)
    assert after.replace("  searches: [wide-grid]\n", "") == before
    searching.write_text(after)
    assert with_search(read_params(searching), "wide-grid", searching) == after


def test_a_search_that_is_not_declared_is_named_with_the_nearest(searching):
    params = read_params(searching)
    with pytest.raises(ParameterError) as caught:
        with_search(params, "wide-gird", searching)
    assert str(caught.value) == (
        f"search 'wide-gird' is not declared under searches in {searching}; allowed: wide-grid; "
        "did you mean 'wide-grid'?"
    )
    with pytest.raises(ParameterError, match=r"is not declared under searches in .*; none is declared$"):
        with_search(params.model_copy(update={"searches": {}}), "wide-grid", searching)


def test_a_plan_names_a_data_set_once_however_many_experiments_use_it(params):
    wide = params.experiments["wide"]
    both = params.model_copy(
        update={
            "experiments": {"a": wide, "b": wide},
            "suite": params.suite.model_copy(update={"experiments": ("a", "b")}),
        }
    )
    assert list(make_plan(both).datasets) == ["diabetes"]


def test_a_written_plan_reads_back_and_is_the_declarations_plan(params, runs):
    assert write_plan(make_plan(params), runs) is True
    assert read_plan(runs) == make_plan(params)
    check_plan(params, runs)
    assert runs.read_text().startswith("# What runs, one entry a run: written by `tandem plan` from params.yaml;")


def test_writing_the_same_plan_again_touches_nothing(params, runs):
    write_plan(make_plan(params), runs)
    before = runs.stat()
    assert write_plan(make_plan(params), runs) is False
    assert (runs.stat().st_mtime_ns, runs.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_plan_in_another_layout_is_the_same_plan_and_stays_as_it_is(params, runs):
    write_plan(make_plan(params), runs)
    text = runs.read_text().replace("  ", "     ").replace("plan:\n", "plan:   # mine\n\n     # datasets\n")
    runs.write_text(text)
    assert write_plan(make_plan(params), runs) is False
    assert runs.read_text() == text


def test_comments_of_entries_that_stay_outlive_a_new_plan(params, runs):
    write_plan(make_plan(params), runs)
    lines = runs.read_text().splitlines()
    lines[1] += "  # the whole plan"
    position = lines.index("      dataset: digits")
    lines[position] += "  # digits at the end of a line"
    runs.write_text("\n".join(lines) + "\n")
    fewer = params.model_copy(update={"suite": params.suite.model_copy(update={"experiments": ("digits-mlp",)})})
    assert write_plan(make_plan(fewer), runs) is True
    assert read_plan(runs) == make_plan(fewer)
    assert lines[0] in runs.read_text()
    assert "plan:  # the whole plan\n" in runs.read_text()
    assert "      dataset: digits  # digits at the end of a line\n" in runs.read_text()


def test_a_stale_plan_is_told_with_what_it_lacks_and_what_it_has_too_much(params, runs):
    write_plan(make_plan(params), runs)
    other = params.model_copy(update={"suite": params.suite.model_copy(update={"experiments": ("digits-mlp", "wide")})})
    with pytest.raises(ParameterError) as caught:
        check_plan(other, runs)
    assert str(caught.value) == (
        f"{runs}: not the plan of params.yaml: it lacks wide-keras, wide-torch; has coffee-keras, coffee-torch, "
        "which the suite does not; run `tandem plan`"
    )


def test_a_plan_with_another_source_is_stale(params, runs):
    write_plan(make_plan(params), runs)
    runs.write_text(runs.read_text().replace("source: digits", "source: diabetes"))
    with pytest.raises(ParameterError, match=r"it differs in data sets, frameworks or order; run `tandem plan`$"):
        check_plan(params, runs)


def test_a_missing_plan_says_how_to_write_it(params, runs):
    with pytest.raises(ParameterError) as caught:
        check_plan(params, runs)
    assert str(caught.value) == f"{runs}: missing; run `tandem plan` to write it"


EMPTY = "datasets: {}, trainings: {}, ladders: {}, searches: {}, runs: {}, reports: {}, trials: x"
GARBAGE = {
    "nothing": "",
    "a word": "hello\n",
    "a list": "[1, 2]\n",
    "no mapping": "plan: 3\n",
    "an unknown key": f"plan: {{{EMPTY}, more: 1}}\n",
    "a missing key": "plan: {datasets: {}, runs: {}}\n",
    "a wrong type": f"plan: {{{EMPTY.replace('runs: {}', 'runs: {a: 1}')}}}\n",
}


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_a_plan_edited_into_something_else_is_told_and_written_anew(params, runs, text):
    runs.write_text(text)
    with pytest.raises(ParameterError) as caught:
        read_plan(runs)
    assert str(caught.value) == f"{runs}: not as `tandem plan` writes it; run `tandem plan` again"
    assert write_plan(make_plan(params), runs) is True
    check_plan(params, runs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [\n", ":2:1: does not parse as YAML"),
        ("\x00", ":1:1: the control character U+0000; remove it"),
        (
            "plan: &a {b: *a}\n",
            ": an alias (*) stands inside what it names (&), or lists are nested too deep; write it out",
        ),
    ],
)
def test_a_plan_that_is_no_yaml_is_told_and_written_anew(params, runs, text, message):
    runs.write_text(text)
    with pytest.raises(ParameterError, match=re.escape(f"{runs}{message}")):
        read_plan(runs)
    assert write_plan(make_plan(params), runs) is True
    check_plan(params, runs)


# ------------------------------------------------------------------------------------------------ the suite

FLOW = """\
# the whole file

suite:   # what runs
  # before the key
  experiments:   [digits-mlp, coffee]   # at the end of the line
  # between keys

  frameworks: ["keras", 'torch']

# before the next section
suites:
    one:  {experiments: [coffee], frameworks: [torch]}   # four blanks
    same:
        experiments: [digits-mlp, coffee]
        frameworks: [keras, torch]
"""
BLOCK = """\
suite:
  experiments:   # in lines
    # above digits
    - digits-mlp   # digits
    # above coffee
    - coffee   # roasts
    # after the last

  # before frameworks
  frameworks:
  - keras
  - torch

# before the next section
suites:
  one: {experiments: [wide, coffee], frameworks: [torch]}
  more: {experiments: [digits-mlp, coffee, wide], frameworks: [keras, torch]}
"""


@pytest.fixture
def select(tmp_path, params_text):
    """Select a suite in a declaration with another head; return the head as it is then."""

    def call(head: str, name: str, newline: str = "\n") -> str:
        rest = params_text[params_text.index("datasets:") :]
        path = tmp_path / "params.yaml"
        path.write_bytes((head + rest).replace("\n", newline).encode())
        changed = select_suite(read_params(path), name, path)
        after = read_params(path)
        assert after.suite == after.suites[name]
        text = path.read_bytes().decode()
        assert changed is (text != (head + rest).replace("\n", newline))
        assert text.endswith(rest.replace("\n", newline))
        return text.removesuffix(rest.replace("\n", newline))

    return call


def test_selecting_changes_the_lists_of_the_suite_and_no_other_byte(select):
    assert select(FLOW, "one") == FLOW.replace(
        "[digits-mlp, coffee]   # at", "[coffee]   # at"
    ).replace("""["keras", 'torch']""", "[torch]")  # fmt: skip


def test_selecting_what_is_selected_changes_nothing(select):
    assert select(FLOW, "same") == FLOW


def test_a_list_in_lines_keeps_the_lines_of_entries_that_stay(select):
    expected = BLOCK.replace(
        "    # above digits\n    - digits-mlp   # digits\n", "    - wide\n"
    ).replace("  - keras\n", "")  # fmt: skip
    # a comment above the first entry belongs to the list, not to the entry
    expected = expected.replace("# in lines\n", "# in lines\n    # above digits\n")
    assert select(BLOCK, "one") == expected


def test_a_list_in_lines_grows_by_a_line(select):
    assert select(BLOCK, "more") == BLOCK.replace("# roasts\n", "# roasts\n    - wide\n")


def test_windows_line_ends_stay(select):
    assert select(BLOCK, "more", "\r\n") == BLOCK.replace("# roasts\n", "# roasts\n    - wide\n").replace("\n", "\r\n")


def test_a_suite_on_one_line_stays_on_one_line(select):
    head = (
        "suite: {experiments: [coffee], frameworks: [keras]}  # short\n"
        "suites: {a: {experiments: [wide], frameworks: [keras]}}\n"
    )
    assert select(head, "a") == head.replace("[coffee]", "[wide]", 1)


@pytest.mark.parametrize("name", list(read_params(COMMITTED).suites))
def test_the_committed_file_survives_a_suite_and_back(tmp_path, name):
    path = tmp_path / "params.yaml"
    path.write_bytes(COMMITTED.read_bytes())
    selected = next(key for key, suite in read_params(path).suites.items() if suite == read_params(path).suite)
    select_suite(read_params(path), name, path)
    assert read_params(path).suite == read_params(path).suites[name]
    different = [
        number
        for number, (old, new) in enumerate(zip(COMMITTED.open(), path.open(), strict=True), start=1)
        if old != new
    ]
    assert len(different) <= 2
    select_suite(read_params(path), selected, path)
    assert path.read_bytes() == COMMITTED.read_bytes()


@pytest.mark.parametrize(
    "head",
    [
        "suites:\n  a: &a {experiments: [coffee], frameworks: [torch]}\n"
        "  one: {experiments: [wide], frameworks: [keras]}\nsuite: *a\n",
        "suite: {experiments: &e [coffee], frameworks: [torch]}\n"
        "suites: {a: {experiments: *e, frameworks: [torch]}, one: {experiments: [wide], frameworks: [keras]}}\n",
    ],
)
def test_a_list_that_other_keys_share_is_not_overwritten(tmp_path, params_text, head):
    path = tmp_path / "params.yaml"
    path.write_text(head + params_text[params_text.index("datasets:") :])
    before = path.read_bytes()
    with pytest.raises(ParameterError, match="suite shares a list with other keys by an anchor"):
        select_suite(read_params(path), "one", path)
    assert path.read_bytes() == before


def test_an_unknown_suite_is_told_with_the_known_ones(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(COMMITTED.read_bytes())
    with pytest.raises(ParameterError) as caught:
        select_suite(read_params(path), "fashoin", path)
    known = ", ".join(sorted(read_params(path).suites))
    assert str(caught.value) == (
        f"suite 'fashoin' is not declared under suites in {path}; allowed: {known}; did you mean 'fashion'?"
    )
    assert path.read_bytes() == COMMITTED.read_bytes()
