"""The parity ladder with NumPy alone: what a framework climbs with, what is compared, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages import ladder, paths
from stages import parity as parity_stage
from tandem.config import Experiment
from tandem.errors import DataError
from tandem.frameworks import load_framework
from tandem.frameworks.numpy import optimizers
from tandem.models import ModelDeclaration, resolve
from tandem.parity.climb import Climb, Course, _undetermined, climb, lay_course, parity_record, still
from tandem.parity.compare import Climbed, compare_climbs, compare_pair
from tandem.parity.records import DTYPES, RUNGS, STEPS, UNITS, LadderRecord, PairRecord, ParityRecord, load_side
from tandem.parity.words import ladder_sentences, pair_sentences, power
from tandem.records import DataDescription, read_record, write_record
from tandem.training import epoch_order

ROWS, COLUMNS, CLASSES = 50, 6, 3
LAYERS = [{"dense": {"units": 8, "activation": "relu"}}, {"dense": {"units": 5, "activation": "tanh"}}]


def declare(layers: list[dict] = LAYERS, **settings: object) -> Experiment:
    declared = {
        "description": "made up",
        "dataset": "made",
        "model": {"sequential": layers},
        "loss": "cross_entropy",
        "optimizer": {"name": "adam", "learning_rate": 0.01},
        "training": {"epochs": 3, "batch_size": 16, "seed": 4},
    }
    return Experiment.model_validate_json(json.dumps(declared | settings))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the fit rows and scaler of a small data set."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    fit = tmp_path / paths.fit("made")
    (fit / "folds/0").mkdir(parents=True)
    np.save(fit / "features.npy", generator.normal(3, 2, (ROWS + 10, COLUMNS)))
    np.save(fit / "targets.npy", generator.integers(0, CLASSES, ROWS + 10))
    np.save(fit / "folds/0/train.npy", np.arange(10, ROWS + 10))
    description = DataDescription(
        dataset="made",
        source="npy",
        title="Made up",
        reference="a generator",
        task="classification",
        feature_shape=(COLUMNS,),
        class_names=("a", "b", "c"),
        target_name="class",
        rows={"train": ROWS, "valid": 10},
        class_counts={},
    )
    write_record(description, fit / "description.json")
    scaler = tmp_path / paths.scaler("made")
    scaler.mkdir(parents=True)
    (scaler / "fold-0.json").write_text(
        json.dumps({"method": "zscore", "per": "feature", "center": [3.0] * COLUMNS, "scale": [2.0] * COLUMNS})
    )
    return tmp_path


def course_of(experiment: Experiment) -> Course:
    architecture = resolve(experiment.model, (COLUMNS,), "classification", experiment.loss, CLASSES)
    return lay_course(architecture, experiment, ROWS)


def climb_of(experiment: Experiment, name: str = "numpy") -> Climbed:
    """Let NumPy climb, under any name."""
    framework, course = load_framework("numpy"), course_of(experiment)
    climbed: Climb = climb(framework, course, paths.fit("made"), paths.scaler("made"))
    record = parity_record("made", framework, course, climbed)
    return Climbed(record.model_copy(update={"framework": name}), climbed.arrays)


def changed(climbed: Climbed, name: str, factor: float, **facts: object) -> Climbed:
    """Return a climb with the arrays that begin with ``name`` multiplied."""
    side = {key: array * factor if key.startswith(name) else array for key, array in climbed.side.items()}
    return Climbed(climbed.record.model_copy(update=facts), side)


def unreached(pair: PairRecord) -> list[tuple[str, str, str]]:
    return [(rung.rung, rung.dtype, rung.reason) for rung in pair.rungs if not rung.reached]


# ------------------------------------------------------------------------------------------- what is climbed with


def test_a_course_takes_the_first_batches_as_training_shows_them():
    course = course_of(declare())
    order = [epoch_order(ROWS, 1, 4, epoch) for epoch in range(3)]
    shown = [course.positions[batch] for batch in course.batches]
    assert [len(batch) for batch in shown] == [16, 16, 16, 2, 16, 16, 16, 2, 16, 16]
    assert np.concatenate(shown[:4]).tolist() == order[0].tolist()
    assert np.concatenate(shown[8:]).tolist() == order[2][:32].tolist()
    assert course.batch_size == 16


def test_a_course_follows_the_schedule():
    drop = {"name": "sgd", "learning_rate": 0.5, "schedule": {"kind": "drop", "factor": 0.5, "epochs": 1}}
    assert course_of(declare(optimizer=drop)).rates == (0.5,) * 4 + (0.25,) * 4 + (0.125,) * 2


def test_a_huge_batch_is_cut():
    training = {"epochs": 1, "batch_size": 100_000, "repeat": 1000}
    course = course_of(declare(training=training))
    assert [len(batch) for batch in course.batches] == [2048] * STEPS
    assert len(course.positions) == ROWS


def test_layers_that_draw_random_numbers_are_stilled_and_named():
    layers = [*LAYERS, {"dropout": {"rate": 0.5}}, {"alpha_dropout": {"rate": 0.1}}, {"dropout": {"rate": 0.0}}]
    declared = ModelDeclaration.model_validate_json(json.dumps({"sequential": layers}))
    quiet, stilled = still(resolve(declared, (COLUMNS,), "classification", "cross_entropy", CLASSES))
    assert stilled == ("dropout_1", "alpha_dropout_1")
    assert [layer.settings["rate"] for layer in quiet.body[-3:]] == [0.0, 0.0, 0.0]


# ------------------------------------------------------------------------------------------------ what is compared


@pytest.mark.usefixtures("project")
def test_a_framework_agrees_with_itself_on_every_rung():
    climbed = climb_of(declare())
    pair = compare_pair(climbed, climb_of(declare(), "other"))
    assert unreached(pair) == []
    assert {(rung.rung, rung.dtype) for rung in pair.rungs} == {(rung, dtype) for rung in RUNGS for dtype in DTYPES}
    assert all(rung.difference == 0 for rung in pair.rungs)


@pytest.mark.usefixtures("project")
def test_a_climb_moves_on_every_rung():
    """Equal arrays would prove nothing if they were empty, or never changed."""
    climbed = climb_of(declare())
    states = [climbed.arrays("float64", rung)["dense_1/kernel"] for rung in ("weights", "one_step", "ten_steps")]
    assert np.abs(states[1] - states[0]).max() > 1e-3
    assert np.abs(states[2] - states[1]).max() > 1e-3
    assert list(climbed.arrays("float32", "outputs"))[::2] == ["dense_1", "dense_2", "output"]
    assert climbed.arrays("float32", "outputs")["output"].dtype == np.float32
    assert set(climbed.arrays("float64", "gradients")) >= {"loss", "dense_1/kernel", "output/bias"}


@pytest.mark.usefixtures("project")
def test_one_wrong_constant_of_the_optimiser_is_found_on_its_rung(monkeypatch):
    right = climb_of(declare())
    monkeypatch.setattr(optimizers, "_KERAS_EPSILON", 1e-8)
    pair = compare_pair(right, climb_of(declare(), "other"))
    assert unreached(pair)[0] == ("one_step", "float64", "unexplained")
    assert "Rounding does not explain it: after one step they differ by" in pair_sentences(pair)[1]
    assert pair_sentences(pair)[1].endswith("A formula or a constant differs.")


@pytest.mark.usefixtures("project")
def test_the_first_layer_to_part_is_named_in_the_order_of_computation():
    climbed = climb_of(declare())
    for rung, first in (("outputs", "dense_1"), ("gradients", "output")):
        (found,) = (
            record
            for record in compare_pair(climbed, changed(climbed, f"float64/{rung}/", 1 + 1e-9)).rungs
            if not record.reached
        )
        assert (found.rung, found.dtype, found.parted) == (rung, "float64", first)


@pytest.mark.usefixtures("project")
def test_what_rounding_amplified_so_far_explains_is_rounding():
    climbed = climb_of(declare())
    chaotic = {dtype: dict.fromkeys(RUNGS[1:], 1e10 * UNITS[dtype]) for dtype in DTYPES}
    one = changed(climbed, "nothing", 1.0, rounding=chaotic)
    pair = compare_pair(one, changed(climbed, "float64/ten_steps/output/", 1 + 1e-6))
    assert unreached(pair) == [("ten_steps", "float64", "rounding")]
    words = " ".join(pair_sentences(pair))
    assert "Rounding alone brings that about: one unit in the last place of each initial weight comes to" in words
    assert "The training is chaotic: ten steps make one unit in the last place 10¹⁰ times as large" in words


@pytest.mark.usefixtures("project")
def test_a_diverging_training_is_not_finite():
    wild = {"name": "sgd", "learning_rate": 1e300}
    pair = compare_pair(climb_of(declare(optimizer=wild)), climb_of(declare(optimizer=wild), "other"))
    assert [(rung, reason) for rung, _, reason in unreached(pair)][-1] == ("ten_steps", "not_finite")
    assert "no longer finite" in " ".join(pair_sentences(pair))


@pytest.mark.usefixtures("project")
def test_native_constants_are_named_and_the_rungs_above_begin_alike():
    first, second = (climb_of(declare(constants="native"), name) for name in ("keras", "torch"))
    second = changed(second, "float64/weights/", 2.0, differences=("Adam: another ε",))
    second = Climbed(second.record, {**second.side, "float32/weights/dense_1/bias": np.ones(8, np.float32)})
    pair = compare_pair(first, second)
    assert unreached(pair) == [("weights", "float64", "constants"), ("weights", "float32", "constants")]
    assert "PyTorch’s Adam: another ε" in " ".join(pair_sentences(pair))
    assert "from the second on" in " ".join(ladder_sentences(compare_climbs([first, second])))


def test_an_array_that_rounding_decides_is_left_out():
    exact = {"a/bias": np.array([1e-17]), "a/kernel": np.ones(3), "outputs/output": np.ones(2)}
    nudged = {"a/bias": np.array([3e-17]), "a/kernel": np.ones(3) + 1e-16, "outputs/output": np.ones(2) + 1e-15}
    assert _undetermined(exact, nudged) == ("a/bias",)
    assert _undetermined(exact, nudged | {"outputs/output": np.zeros(2)}) == (), "a chaotic network leaves out nothing"


@pytest.mark.usefixtures("project")
def test_what_is_left_out_is_named():
    climbed = climb_of(declare())
    one = changed(climbed, "nothing", 1.0, undetermined={"one_step": ("dense_1/bias",)})
    pair = compare_pair(one, changed(climbed, "float64/one_step/dense_1/bias", 2.0))
    assert unreached(pair) == []
    assert "dense_1/bias is left out of the steps" in pair_sentences(pair)[-1]


@pytest.mark.usefixtures("project")
def test_climbs_with_different_networks_are_refused():
    one, two = climb_of(declare()), climb_of(declare(LAYERS[:1]), "other")
    with pytest.raises(DataError, match="parity/made: numpy and other climbed with different networks; run"):
        compare_pair(one, two)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (None, "not finite"), (1e-12, "10⁻¹²"), (3.2e-16, "3 · 10⁻¹⁶"), (1.0, "1"), (0.94, "9 · 10⁻¹")],
)
def test_differences_are_told_as_powers_of_ten(value, text):
    assert power(value).replace("\N{NO-BREAK SPACE}", " ") == text


# ------------------------------------------------------------------------------------------------------ the stages


def write_params(folder: Path, experiment: Experiment) -> None:
    declared = {"experiments": {"made": experiment.model_dump(mode="json", exclude_none=True)}}
    (folder / "params.yaml").write_text(json.dumps(declared))


def test_the_stages_write_the_ladder_with_numpy_as_the_witness(project):
    write_params(project, declare())
    parity_stage.main(["made", "numpy"])
    (project / "parity/made/numpy").rename(project / "parity/made/keras")
    record = read_record(ParityRecord, project / "parity/made/keras/parity.json")
    write_record(record.model_copy(update={"framework": "keras"}), project / "parity/made/keras/parity.json")
    ladder.main(["made", "keras"])
    found = read_record(LadderRecord, project / "ladder/made.json")
    assert (found.frameworks, found.witness, found.rows) == (("keras",), "numpy", ROWS)
    assert [(pair.first, pair.second) for pair in found.pairs] == [("keras", "numpy")]
    assert unreached(found.pairs[0]) == []


def test_a_framework_alone_with_a_layer_that_numpy_lacks_climbs_without_company(project):
    write_params(project, declare([*LAYERS, {"dropout": {"rate": 0.5}}]))
    folder = project / "parity/made/keras"
    climbed = climb_of(declare())
    folder.mkdir(parents=True)
    write_record(climbed.record.model_copy(update={"framework": "keras"}), folder / "parity.json")
    np.savez(folder / "arrays.npz", **climbed.side)
    ladder.main(["made", "keras"])
    found = read_record(LadderRecord, project / "ladder/made.json")
    assert found.pairs == ()
    assert "NumPy is no witness here: it has no layer of the kind dropout." in ladder_sentences(found)


def test_the_same_climb_gives_the_same_bytes(project):
    write_params(project, declare())
    written = []
    for _ in range(2):
        parity_stage.main(["made", "numpy"])
        written.append([file.read_bytes() for file in sorted((project / "parity/made/numpy").iterdir())])
    assert written[0] == written[1]
    assert len(written[0]) == 2


def test_damaged_arrays_are_named(project):
    file = project / "arrays.npz"
    with pytest.raises(DataError, match=r"arrays\.npz: missing; run `dvc repro`"):
        load_side(file)
    np.savez(file, a=np.ones(100))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match=r"arrays\.npz: damaged .*; delete it and run `dvc repro`"):
        load_side(file)


def test_large_arrays_are_compared_at_evenly_spread_entries(project, monkeypatch):
    monkeypatch.setattr("tandem.parity.climb._KEPT", 10)
    del project
    climbed = climb_of(declare())
    assert max(array.size for array in climbed.side.values()) == 10
    assert replace(climbed, side={}).arrays("float64", "weights") == {}
