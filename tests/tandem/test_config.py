"""params.yaml: what reads, and how each mistake is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tandem.config import Training, read_dataset, read_experiment, read_params
from tandem.datasets import source_names
from tandem.errors import ParameterError
from tandem.layers import layer_kinds

REPOSITORY = Path(__file__).resolve().parents[2]
MLP, WIDE, COFFEE = "experiments.digits-mlp", "experiments.wide", "experiments.coffee"
LAYERS = ", ".join(sorted((*layer_kinds(), "repeat")))
SOURCES = ", ".join(source_names())
TRAINING = ", ".join(sorted(Training.model_fields))
NAMES = "names are lower-case letters, digits and '-', and begin with a letter or digit"


def mistakes(path: Path) -> list[str]:
    """Return the lines of the error, each "LINE: PLACE: MESSAGE", without the closing line."""
    with pytest.raises(ParameterError) as caught:
        read_params(path)
    *lines, last = str(caught.value).splitlines()
    assert last == "nothing was run; correct params.yaml and run again"
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def test_the_committed_declaration_reads():
    params = read_params(REPOSITORY / "params.yaml")
    assert params.suite.experiments[0] in params.experiments
    for suite in params.suites.values():
        assert {params.experiments[name].dataset for name in suite.experiments} <= set(params.datasets)


def test_a_valid_declaration_reads_with_its_defaults(write_params):
    params = read_params(write_params())
    experiment = params.experiments["wide"]
    assert experiment.constants == "aligned"
    assert experiment.training.model_dump() == {
        "epochs": 3, "batch_size": 16, "repeat": 1, "checkpoint": "last", "replicates": 1, "seed": 0, "threads": 1,
        "devices": 1, "shuffle": True, "stop_below": None, "augmentation": None, "early_stopping": None,
        "input": "memory",
    }  # fmt: skip
    assert params.datasets["diabetes"].standardize.per == "feature"
    assert params.datasets["coffee"].source.options == {"samples": 200}


def test_a_declaration_is_frozen(write_params):
    with pytest.raises(ValueError, match="frozen"):
        read_params(write_params()).suite.frameworks = ("keras",)


def test_numbers_in_exponent_notation_are_numbers(write_params):
    path = write_params(("learning_rate: 0.05", "learning_rate: 1e-3"))
    assert read_params(path).experiments["digits-mlp"].optimizer.learning_rate == 0.001


SINGLE = [
    # unknown keys
    ("training: {epochs: 2,", "training: {epochs: 2, patince: 3,",
     f"27: {MLP}.training.patince: unknown key 'patince'; allowed: {TRAINING}"),
    ("standardize: {method: zscore, per: all}", "standardise: {}\n    standardize: {method: zscore}",
     "8: datasets.digits.standardise: unknown key 'standardise'; allowed: source, split, standardize; "
     "did you mean 'standardize'?"),
    ("        - flatten: {}\n", "        - flaten: {}\n",
     f"23: {MLP}.model.sequential[0].flaten: unknown key 'flaten'; allowed: {LAYERS}; did you mean 'flatten'?"),
    # wrong types
    ("units: 8", "units: eight", f"24: {MLP}.model.sequential[1].dense.units: 'eight': must be a whole number"),
    ("epochs: 2,", "epochs: 2.5,", f"27: {MLP}.training.epochs: 2.5: must be a whole number"),
    ("learning_rate: 0.05", "learning_rate: '0.05'",
     f"26: {MLP}.optimizer.learning_rate: '0.05': must be a number"),
    ("learning_rate: 0.05", "learning_rate: [0.05]",
     f"26: {MLP}.optimizer.learning_rate: [0.05]: must be a number"),
    ("experiments: [digits-mlp, coffee]", "experiments: coffee", "2: suite.experiments: 'coffee': must be a list"),
    ("stratify: true", "stratify: yes", "7: datasets.digits.split.stratify: 'yes': must be true or false"),
    ("description: Reads digits.", "description: 12", f"19: {MLP}.description: 12: must be text"),
    ("description: Reads digits.", "description: ''", f"19: {MLP}.description: '': must have at least 1 character"),
    # booleans are no numbers
    ("epochs: 2,", "epochs: true,", f"27: {MLP}.training.epochs: true: must be a whole number"),
    ("learning_rate: 0.05", "learning_rate: true",
     f"26: {MLP}.optimizer.learning_rate: true: must be a number"),
    ("test: 0.25, valid: 0.25, seeds: [7, 11], stratify", "test: true, valid: 0.25, seeds: [7, 11], stratify",
     "7: datasets.digits.split.test: true: must be a number"),
    ("hidden: [4]", "hidden: [true]", f"32: {WIDE}.model.wide_deep.hidden[0]: true: must be a whole number"),
    ("samples: 200", "samples: true", "14: datasets.coffee.source.samples: true: must be a whole number"),
    # numbers out of their range
    ("learning_rate: 0.05", "learning_rate: -0.05",
     f"26: {MLP}.optimizer.learning_rate: -0.05: must be greater than 0"),
    ("learning_rate: 0.05", "learning_rate: 0", f"26: {MLP}.optimizer.learning_rate: 0: must be greater than 0"),
    ("learning_rate: 0.05", "learning_rate: .nan",
     f"26: {MLP}.optimizer.learning_rate: NaN: must be a finite number"),
    ("learning_rate: 0.05", "learning_rate: .inf",
     f"26: {MLP}.optimizer.learning_rate: Infinity: must be a finite number"),
    ("batch_size: 32", "batch_size: 0", f"27: {MLP}.training.batch_size: 0: must be greater than 0"),
    ("samples: 200", "samples: 0", "14: datasets.coffee.source.samples: 0: must be greater than 0"),
    ("seeds: [7, 11], stratify", "seeds: [7], stratify",
     "7: datasets.digits.split.seeds[1]: missing; the list takes 2 entries"),
    # names that are none of the known ones
    ("dataset: digits", "dataset: digit",
     f"20: {MLP}.dataset: 'digit' is not declared under datasets; allowed: coffee, diabetes, digits; "
     "did you mean 'digits'?"),
    ("source: digits", "source: digts",
     f"6: datasets.digits.source: 'digts' is not known; allowed: {SOURCES}; did you mean 'digits'?"),
    ("{name: coffee, samples", "{name: cofee, samples",
     f"14: datasets.coffee.source.name: 'cofee' is not known; allowed: {SOURCES}; did you mean 'coffee'?"),
    ("activation: relu", "activation: rel",
     f"24: {MLP}.model.sequential[1].dense.activation: 'rel' is not known; "
     "allowed: elu, gelu, leaky_relu, linear, maxout, relu, selu, sigmoid, softmax, tanh; did you mean 'relu'?"),
    ("name: sgd", "name: sdg",
     f"26: {MLP}.optimizer.name: 'sdg' is not known; allowed: adam, rmsprop, sgd; did you mean 'sgd'?"),
    ("{name: sgd, ", "{", f"26: {MLP}.optimizer.name: missing; allowed: adam, rmsprop, sgd"),
    ("loss: cross_entropy", "loss: crossentropy",
     f"25: {MLP}.loss: 'crossentropy' is not known; allowed: binary_cross_entropy, categorical_cross_entropy, "
     "cross_entropy, mae, mse, squared_error_sum; did you mean 'cross_entropy'?"),
    ("frameworks: [keras, torch]", "frameworks: [keras, pytorch]",
     "3: suite.frameworks[1]: 'pytorch' is not known; allowed: keras, numpy, torch; did you mean 'torch'?"),
    ("[digits-mlp, coffee]", "[digits-mpl, coffee]",
     "2: suite.experiments[0]: 'digits-mpl' is not declared under experiments; allowed: coffee, digits-mlp, wide; "
     "did you mean 'digits-mlp'?"),
    ("method: first-n", "method: first",
     "15: datasets.coffee.split.method: 'first' is not known; allowed: first-n, holdout, k-fold, repeated-k-fold; "
     "did you mean 'first-n'?"),
    # suites
    ("[digits-mlp, coffee]", "[]",
     "2: suite.experiments: nothing runs; name an experiment, or under searches a search"),
    ("[keras, torch]", "[]", "3: suite.frameworks: []: must have at least 1 entry"),
    ("[digits-mlp, coffee]", "[coffee, coffee]",
     "2: suite.experiments[1]: 'coffee' stands twice; remove one of the two"),
    ("[keras, torch]", "[keras, keras]",
     "3: suite.frameworks: ['keras', 'keras'] names a framework twice; remove one of the two"),
    # what does not fit together
    ("loss: cross_entropy", "loss: mae",
     f"25: {MLP}.loss: 'mae' does not fit classification into 10; allowed: categorical_cross_entropy, cross_entropy, "
     "mse; did you mean 'mse'?"),
    ("loss: cross_entropy", "loss: binary_cross_entropy",
     f"25: {MLP}.loss: 'binary_cross_entropy' does not fit classification into 10; allowed: "
     "categorical_cross_entropy, cross_entropy, mse; did you mean 'cross_entropy'?"),
    ("loss: mse", "loss: cross_entropy",
     f"33: {WIDE}.loss: 'cross_entropy' does not fit regression; allowed: mae, mse, squared_error_sum"),
    ("checkpoint: last", "checkpoint: best",
     f"43: {COFFEE}.training.checkpoint: 'best' needs validation rows, 'coffee' has none; allowed: last"),
    ("checkpoint: last", "early_stopping: {patience: 3}",
     f"43: {COFFEE}.training.early_stopping.monitor: 'valid_loss' needs validation rows, 'coffee' has none; "
     "allowed: train_loss"),
    ("valid: 0}", "valid: 0, test: 5}",
     "15: datasets.coffee.split.test: 5: 'coffee' has test rows of its own; remove the key"),
    ("test: 0.25, valid: 0.25, seeds: [7, 11]}", "valid: 0.25, seeds: [7, 11]}",
     "11: datasets.diabetes.split.test: missing; 'diabetes' has no test rows of its own, say how many to hold out"),
    ("seeds: [7, 11]}", "seeds: [7, 11], stratify: true}",
     "11: datasets.diabetes.split.stratify: true: 'diabetes' is a regression, only classes can be stratified"),
    ("samples: 200", "sample: 200",
     "14: datasets.coffee.source.sample: unknown key 'sample'; allowed: samples, seed, test_samples; "
     "did you mean 'samples'?"),
    ("source: digits", "source: {name: digits, seed: 1}",
     "6: datasets.digits.source.seed: unknown key 'seed'; 'digits' takes no options"),
    ("        - flatten: {}\n", "",
     f"23: {MLP}.model.sequential[0].dense: dense takes samples of rank 1, here they have shape (8, 8); "
     "put '- flatten: {}' before it"),
    ("wide: [0, 1]", "wide: [0, 10]",
     f"32: {WIDE}.model.wide_deep.wide[1]: column 10 is out of range; allowed: 0 to 9"),
    ("wide: [0, 1]", "wide: [-1, 1]",
     f"32: {WIDE}.model.wide_deep.wide[0]: -1: must be greater than or equal to 0"),
    (", deep: [2, 3]", "",
     f"32: {WIDE}.model.wide_deep: takes both of wide and deep, or neither (one input for both); given: wide, hidden"),
    ("      wide_deep: {", "      sequential: []\n      wide_deep: {",
     f"31: {WIDE}.model: a model takes exactly one of: sequential, wide_deep; given: sequential, wide_deep"),
    ("- flatten: {}", "- {flatten: {}, dropout: {rate: 0.1}}",
     f"23: {MLP}.model.sequential[0]: a layer takes exactly one of: {LAYERS}; given: flatten, dropout"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), SINGLE)
def test_a_mistake_is_told_with_its_line_place_value_and_what_is_allowed(write_params, old, new, expected):
    assert mistakes(write_params((old, new))) == [expected]


def test_early_stopping_on_the_training_loss_needs_no_validation_rows(write_params):
    path = write_params(("checkpoint: last", "early_stopping: {monitor: train_loss, patience: 3}"))
    assert read_params(path).experiments["coffee"].training.early_stopping.monitor == "train_loss"


@pytest.mark.parametrize("name", ["digits;rm", "../digits", "Digits", "-digits", "a b", "a/b", "a.b", "ä"])
def test_a_name_that_could_leave_its_folder_or_reach_a_shell_is_refused(write_params, name):
    found = mistakes(write_params(("\n  wide:", f"\n  '{name}':")))
    assert found == [f"28: experiments.{name}: '{name}' is no allowed name; {NAMES}"]


def test_a_data_sets_name_is_checked_like_an_experiments(write_params):
    found = mistakes(write_params(("\n  diabetes:", "\n  '../x':"), ("dataset: diabetes", "dataset: ../x")))
    assert f"9: datasets.../x: '../x' is no allowed name; {NAMES}" in found
    assert f"30: experiments.wide.dataset: '../x' is no allowed name; {NAMES}" in found


def test_a_name_of_more_than_80_characters_is_refused(write_params):
    name = "a" * 81
    (found,) = mistakes(write_params(("\n  wide:", f"\n  {name}:")))
    assert found.startswith(f"28: experiments.{name}: 'aaa")
    assert found.endswith(": must have at most 80 characters")


def test_no_experiment_may_be_called_like_the_index_page(write_params):
    found = mistakes(write_params(("\n  wide:", "\n  index:")))
    assert found == ["28: experiments.index: the name 'index' is taken by the index page; choose another name"]


def test_every_mistake_of_the_file_is_told_at_once_in_the_order_of_its_lines(write_params):
    path = write_params(
        ("[keras, torch]", "[keras, torhc]"),
        ("source: digits", "source: digit"),
        ("units: 8", "units: -8"),
        ("wide: [0, 1]", "wide: [0, 99]"),
        ("loss: binary_cross_entropy", "loss: mae"),
        ("epochs: 4", "epochs: -1"),
    )
    assert [line.split(": ")[:2] for line in mistakes(path)] == [
        ["3", "suite.frameworks[1]"],
        ["6", "datasets.digits.source"],
        ["24", "experiments.digits-mlp.model.sequential[1].dense.units"],
        ["32", "experiments.wide.model.wide_deep.wide[1]"],
        ["41", "experiments.coffee.loss"],
        ["43", "experiments.coffee.training.epochs"],
    ]


def test_a_wrong_entry_does_not_make_its_list_too_short(write_params):
    found = mistakes(write_params(("hidden: [4]", "hidden: [0]")))
    assert found == ["32: experiments.wide.model.wide_deep.hidden[0]: 0: must be greater than 0"]


UNREADABLE = {
    "an open list": (b"suite: [\n", ":2:1: does not parse as YAML: expected the node content"),
    "a tab": (b"a: 1\n\tb: 2\n", ":2:1: does not parse as YAML: found character '\\t'"),
    "a colon too many": (b"a: b: c\n", ":1:5: does not parse as YAML: mapping values are not allowed"),
    "an unknown alias": (b"a: 1\nb: *c\n", ":2:4: does not parse as YAML: found undefined alias 'c'"),
    "a key twice": (b"a: 1\nb: 2\na: 3\n", ":3: the key 'a' stands twice; remove one of the two"),
    "an inner key twice": (b"a: {b: 1, b: 2}\n", ":1: the key 'b' stands twice; remove one of the two"),
    "a control character": (b"a: 1\nb: \x07\n", ":2:4: the control character U+0007; remove it"),
    "itself": (
        b"a: &b {c: *b}\n",
        ": an alias (*) stands inside what it names (&), or lists are nested too deep; write it out",
    ),
    "no UTF-8": (b"a: \xff\n", ": not UTF-8 text (byte 3); save it as UTF-8"),
    "nothing": (b"", ":1: must be a mapping with suite, datasets and experiments"),
    "a list": (b"- suite\n", ":1: must be a mapping with suite, datasets and experiments"),
}


@pytest.mark.parametrize(("content", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_no_yaml_mapping_is_told_with_the_place(tmp_path, content, message):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ParameterError, match="^" + re.escape(f"{path}{message}")):
        read_params(path)


def test_a_missing_file_says_what_to_do(tmp_path):
    path = tmp_path / "params.yaml"
    with pytest.raises(ParameterError, match=f"^{re.escape(str(path))}: missing; run the command in a Tandem proj"):
        read_params(path)


def test_a_folder_in_its_place_is_told(tmp_path):
    with pytest.raises(ParameterError, match=r": cannot be read \(Is a directory\); make it a readable file$"):
        read_params(tmp_path)


@pytest.mark.parametrize(("part", "missing"), [("datasets: []", "datasets"), ("datasets: 3", "datasets")])
def test_a_section_of_another_kind_is_told(tmp_path, part, missing):
    path = tmp_path / "params.yaml"
    path.write_text(f"suite: {{experiments: [a], frameworks: [keras]}}\n{part}\nexperiments: {{}}\n")
    found = mistakes(path)
    assert any(line.startswith(f"2: {missing}: ") and "must be a mapping of keys" in line for line in found)


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path, params_text):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + params_text.replace("\n", "\r\n").encode())
    assert set(read_params(path).experiments) == {"digits-mlp", "wide", "coffee"}


def test_one_entry_is_read_whatever_stands_in_the_others(write_params):
    path = write_params(("loss: mse", "loss: none"))
    assert read_experiment(path, "coffee").dataset == "coffee"
    assert read_dataset(path, "coffee").source.name == "coffee"


def test_a_wrong_entry_brings_all_mistakes_and_an_unknown_one_the_nearest_name(write_params):
    with pytest.raises(ParameterError, match=r"params.yaml:33: experiments.wide.loss: 'none' is not known"):
        read_experiment(write_params(("loss: mse", "loss: none")), "wide")
    with pytest.raises(ParameterError, match=r": 'cofee' is not declared under datasets; .*did you mean 'coffee'"):
        read_dataset(write_params(), "cofee")


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_wrong_declaration_stops_the_check_stage_before_anything_is_touched(python, write_params, tmp_path):
    path = write_params(("units: 8", "units: 0"), ("batch_size: 8", "batch_size: 0"))
    for name in ("build/checked", "models/wide/keras/run.json", "runs.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old\n")
    before = tree(tmp_path)
    done = python("-m", "stages.check")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: params.yaml:24: experiments.digits-mlp.model.sequential[1].dense.units: 0: must be greater than 0",
        "params.yaml:43: experiments.coffee.training.batch_size: 0: must be greater than 0",
        "nothing was run; correct params.yaml and run again",
    ]
    assert tree(tmp_path) == before
    assert path.exists()


def test_the_traceback_is_shown_on_request_only(python, write_params):
    write_params(("units: 8", "units: 0"))
    assert "Traceback" in python("-m", "stages.check", TANDEM_DEBUG="1").stderr
