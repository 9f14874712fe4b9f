"""The report's section on diagnosis: cards with their counts, and gradients by layer."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from tandem.diagnosis import Baseline, diagnose
from tandem.report.diagnosis import GradientPanel, diagnosis_section, draw_gradients
from tandem.report.pages import IndexInputs, experiment_page, index_page

from . import sample


def section(inputs):
    return diagnosis_section(inputs.diagnosis, inputs.histories)


def shown(source):
    """Return the text of the section on a page, without its figures."""
    part = source[source.index('<section id="diagnosis"') :]
    part = re.sub(r"<svg.*?</svg>", " ", part[: part.index("</section>")], flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", part).split())


def with_norms(inputs, norms):
    histories = {
        name: tuple(history.model_copy(update={"gradient_norms": norms}) for history in found)
        for name, found in inputs.histories.items()
    }
    return replace(inputs, histories=histories)


def test_each_framework_has_a_card_with_its_case():
    inputs = sample.classification()
    text = shown(experiment_page(inputs))
    main = inputs.diagnosis.runs["keras"].main
    assert "Keras and PyTorch agree: still learning." in text
    assert text.count("Still learning") == 2
    for sentence in main.sentences:
        assert " ".join(sentence.split()) in text
    assert "What to try" in text
    assert "trainings" not in text, "there is one"


def test_cases_of_few_replicates_are_named_after_the_others():
    inputs = sample.classification(replicates=3, diverged={"torch": (1,)})
    keras, torch = section(inputs).cards
    assert [found.case for found in torch.findings] == ["still learning"]
    assert [found.case for found in torch.rest] == ["divergence", "exploding gradients"]
    assert keras.rest == ()
    text = shown(experiment_page(inputs))
    assert "Still learning 2 of 3 trainings In replicate 0: over epochs" in text
    assert (
        "Also divergence in 1 of 3 trainings (replicate 1); exploding gradients in 1 of 3 trainings (replicate 1)."
        in text
    )


def test_names_are_escaped():
    source = experiment_page(sample.classification())
    assert "&lt;script&gt;" in source[source.index("A constant prediction is here") :][:200]


def test_a_page_without_a_diagnosis_has_no_section():
    source = experiment_page(replace(sample.classification(), diagnosis=None))
    assert "#diagnosis" not in source
    assert "Diagnosis" not in source


def test_gradients_are_those_of_the_training_that_is_told():
    inputs = sample.classification(replicates=3, diverged={"torch": (0,)})
    keras, torch = section(inputs).gradients
    assert (keras.training, torch.training) == ("replicate 0", "replicate 1")
    assert torch.epochs == tuple(range(11))
    assert torch.layers == ("dense_1", "dense_2", "output")
    assert torch.norms[0] == inputs.histories["torch"][1].gradient_norms["dense_1"]


def test_gradients_that_were_not_recorded_are_not_shown():
    inputs = sample.classification()
    assert len(section(inputs).gradients) == 2
    assert section(with_norms(inputs, {})).gradients == ()
    assert "Gradients by layer" not in experiment_page(with_norms(inputs, {}))
    zero = {"dense_1": (0.0,) * 11, "output": (None,) * 11}
    assert section(with_norms(inputs, zero)).gradients == (), "a logarithmic axis has no place for them"


@pytest.mark.parametrize(
    "norms",
    [
        ((1.0, 0.5), (2.0, 1.0)),
        ((1.0, None), (2.0, None)),
        ((None, None), (2.0, 1.0)),
        ((1e-300, 1e-300), (1e30, 1.0)),
        ((1.0, 1.0), (1.0, 1.0)),
    ],
)
def test_any_norms_can_be_drawn(norms):
    panel = GradientPanel("keras", "", (0, 1), ("a & <b>", "output"), norms)
    drawn = draw_gradients(panel, key="figure-1")
    root = ElementTree.fromstring(drawn)  # noqa: S314 (drawn just now)
    told = root.find("desc").text
    assert told.startswith("2 layers. a & <b>: ")
    assert ("zero or not finite" in told) == any(norm is None for layer in norms for norm in layer)
    assert "nan" not in drawn.lower()
    assert draw_gradients(panel, key="figure-1") == drawn


def test_one_layer_is_drawn_too():
    panel = GradientPanel("torch", "replicate 0", (0, 1, 2), ("output",), ((3.0, 2.0, 1.0),))
    assert "1 layer. output: 3.00 before training, 1.00 after epoch 2." in draw_gradients(panel, key="figure-1")


def test_the_index_says_a_word_for_each_experiment():
    source = index_page(IndexInputs(sample.entries()))
    assert ">Curves<" in source
    assert "<td>still learning</td>" in source
    assert "<td>Keras: still learning; PyTorch: divergence</td>" in source


def test_a_baseline_of_other_words_is_shown():
    inputs = sample.regression()
    ended = {name: run.replicates for name, run in inputs.runs.items()}
    baseline = Baseline(loss=1.3, metric="mae", value=0.9, words="always the mean, 2.07")
    told = replace(inputs, diagnosis=diagnose(inputs.histories, ended, baseline))
    assert "A constant prediction is here always the mean, 2.07." in shown(experiment_page(told))
