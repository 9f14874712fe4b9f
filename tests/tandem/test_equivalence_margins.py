"""Margins of equivalence as params.yaml declares them, and frameworks that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem import plan
from tandem.config import MARGINS, parse_params, read_margins
from tandem.errors import ParameterError
from tandem.plan import make_plan
from tandem.records import Margin

PARAMS = Path("params.yaml")
TEXT = """
suite: {experiments: [wide, digits], frameworks: [keras, torch, numpy]}
datasets:
  diabetes:
    source: diabetes
    split: {method: holdout, test: 0.25, valid: 0.25, seeds: [1, 2]}
    standardize: {method: zscore}
  digits:
    source: digits
    split: {method: holdout, test: 0.25, valid: 0.25, seeds: [1, 2]}
    standardize: {method: zscore}
experiments:
  wide:
    description: A table.
    dataset: diabetes
    model: {sequential: []}
    loss: mse
    optimizer: {name: sgd, learning_rate: 0.1}
    training: {epochs: 1, batch_size: 8}
  digits:
    description: Pictures.
    dataset: digits
    model: {sequential: [flatten: {}]}
    loss: cross_entropy
    optimizer: {name: sgd, learning_rate: 0.1}
    training: {epochs: 1, batch_size: 8}
"""


def declared(tmp_path: Path, equivalence: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(f"{TEXT}equivalence:\n{equivalence}")
    parse_params(path.read_text(), path)
    return path


def test_without_a_declaration_5_percent_of_an_error_and_one_point_of_a_share_are_equivalent(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    assert read_margins(path, "wide") == MARGINS
    assert MARGINS["mse"] == MARGINS["log_loss"] == Margin(size=0.05, relative=True)
    assert MARGINS["accuracy"] == MARGINS["r2"] == Margin(size=0.01, relative=False)


def test_an_experiments_own_margin_counts_before_the_general_one_whatever_their_order(tmp_path):
    path = declared(
        tmp_path,
        "  - {experiment: wide, metric: mse, margin: 30, relative: false}\n"
        "  - {metric: mse, margin: 0.1}\n"
        "  - {metric: accuracy, margin: 0.02, relative: false}\n",
    )
    assert read_margins(path, "wide")["mse"] == Margin(size=30, relative=False)
    assert read_margins(path, "digits")["mse"] == Margin(size=0.1, relative=True)
    assert read_margins(path, "digits")["accuracy"] == Margin(size=0.02, relative=False)
    assert read_margins(path, "digits")["mae"] == MARGINS["mae"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{metric: mse, margin: 0}", "equivalence[0].margin: 0: must be greater than 0"),
        ("{metric: mse, margin: 5}", "equivalence[0].margin: 5: a share of the error must be less than 1"),
        ("{metric: mes, margin: 0.1}", "equivalence[0].metric: 'mes' is not known; allowed: "),
        (
            "{metric: accuracy, margin: 0.01}",
            "equivalence[0].relative: true: accuracy is no error, its margin cannot be a share of one; write "
            "relative: false",
        ),
        (
            "{metric: mse, margin: 0.1, experiment: wied}",
            "equivalence[0].experiment: 'wied' is not declared under experiments; allowed: digits, wide; did you mean "
            "'wide'?",
        ),
        (
            "{metric: accuracy, margin: 0.1, relative: false, experiment: wide}",
            "equivalence[0].metric: 'accuracy' does not fit regression; allowed: ",
        ),
        ("{metric: mse, margin: 0.1, marign: 1}", "equivalence[0].marign: unknown key 'marign'; allowed: "),
        (
            "{metric: mse, margin: 0.1}\n  - {metric: mse, margin: 0.2}",
            "equivalence[1]: 'mse' has a margin already, in entry 0; remove one of the two",
        ),
    ],
)
def test_a_wrong_margin_is_told_with_its_place(tmp_path, entry, message):
    with pytest.raises(ParameterError) as caught:
        declared(tmp_path, f"  - {entry}\n")
    assert message in str(caught.value)
    line = len(TEXT.splitlines()) + (3 if "[1]" in message else 2)
    assert str(caught.value).startswith(f"{tmp_path / 'params.yaml'}:{line}: ")


@pytest.mark.parametrize("section", ["no list", "{a: 1}", "[3]", ""])
def test_what_is_no_list_of_margins_is_told_when_it_is_read(tmp_path, section):
    path = tmp_path / "params.yaml"
    path.write_text(f"{TEXT}equivalence: {section}\n")
    with pytest.raises(ParameterError, match="equivalence"):
        read_margins(path, "wide")


def test_a_framework_without_its_package_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(plan, "framework_names", lambda: ("keras", "torch"))
    with pytest.raises(ParameterError) as caught:
        make_plan(parse_params(TEXT, PARAMS))
    assert "frameworks: 'numpy' has no package below tandem/frameworks, which holds keras, torch; " in str(caught.value)


def test_any_number_of_frameworks_is_planned(monkeypatch):
    monkeypatch.setattr(plan, "framework_names", lambda: ("keras", "numpy", "torch"))
    made = make_plan(parse_params(TEXT, PARAMS))
    assert list(made.runs)[:3] == ["wide-keras", "wide-torch", "wide-numpy"]
    assert made.reports["wide"].frameworks == "keras torch numpy"
