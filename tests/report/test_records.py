"""The records behind a page: the numbers are right before anything is drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tandem.records import History, Interval, ReplicateTiming
from tandem.report import formats, records, samples

from . import sample


def only(rows, **wanted):
    (found,) = [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.88, "0.8800"),
        (-0.12345, "−0.1235"),
        (266_610, "266,610"),
        (1.25e-5, "1.250 × 10⁻⁵"),
        (-2e-7, "−2.000 × 10⁻⁷"),
        (3e20, "3.000 × 10²⁰"),
        (0, "0"),
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "–"),
    ],
)
def test_numbers_have_four_significant_digits(value, text):
    assert formats.format_number(value).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "12.3 ms"), (4.56, "4.56 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_have_a_fitting_unit(seconds, text):
    assert formats.format_seconds(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


def test_an_interval_has_the_decimals_of_its_largest_end():
    interval = Interval(value=0.0016, low=-0.00512, high=0.0083, over="test samples", n=10)
    assert formats.format_interval(interval, signed=True) == ("+0.00160", "−0.00512 to +0.00830")
    interval = Interval(value=9.5, low=9.0, high=10.25, over="seeds", n=3)
    assert formats.format_interval(interval) == ("9.50", "9.00 to 10.25")


def test_small_differences_share_a_notation():
    interval = Interval(value=-2.75e-5, low=-1.47e-4, high=9.2e-5, over="seeds", n=3)
    assert formats.format_interval(interval, signed=True) == ("−0.000028", "−0.000147 to +0.000092")
    assert formats.format_interval(interval.model_copy(update={"low": -8e-5}), signed=True)[
        0
    ] == "−2.75 × 10⁻⁵".replace(" ", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("value", "text"), [(59.0, "59"), (-2.0, "−2"), (2.5, "2.500"), (12_000.0, "12,000"), (None, "–")]
)
def test_whole_raw_values_have_no_decimals(value, text):
    assert formats.format_value(value) == text


def test_metric_rows_hold_both_kinds_of_interval_and_the_paired_difference():
    comparison = sample.classification(replicates=3).comparison
    rows = records.metric_rows(comparison)
    assert [(row.metric, row.over) for row in rows] == [
        ("accuracy", "120 test samples"),
        ("accuracy", "3 seeds"),
        ("loss", "120 test samples"),
        ("loss", "3 seeds"),
    ]
    estimate = comparison.estimates["torch"][0]
    assert rows[0].estimates["torch"] == estimate.samples
    assert rows[1].estimates["torch"] == estimate.seeds
    assert rows[0].difference == comparison.differences[0].samples
    assert len(records.metric_rows(sample.classification().comparison)) == 2


@pytest.mark.parametrize(
    ("low", "high", "better", "favours"),
    [
        (0.1, 0.2, True, "torch"),
        (0.1, 0.2, False, "keras"),
        (-0.2, -0.1, True, "keras"),
        (-0.2, -0.1, False, "torch"),
        (-0.1, 0.2, True, None),
        (0.0, 0.2, True, None),
        (None, None, True, None),
    ],
)
def test_a_difference_speaks_for_a_framework_only_without_0(low, high, better, favours):
    comparison = sample.classification().comparison
    middle = None if low is None else (low + high) / 2
    changed = comparison.differences[0].model_copy(
        update={
            "samples": Interval(value=middle, low=low, high=high, over="test samples", n=120),
            "higher_is_better": better,
        }
    )
    estimates = {
        framework: (listed[0].model_copy(update={"higher_is_better": better}),)
        for framework, listed in comparison.estimates.items()
    }
    comparison = comparison.model_copy(update={"differences": (changed,), "estimates": estimates})
    assert records.metric_rows(comparison)[0].favours == favours


@pytest.mark.parametrize(("replicates", "few"), [(4, True), (5, False)])
def test_few_seeds_speak_for_no_framework(replicates, few):
    rows = records.metric_rows(sample.classification(replicates=replicates).comparison)
    (row,) = [row for row in rows if row.metric == "loss" and "seeds" in row.over]
    assert row.few is few
    assert (row.favours is None) is few


def test_part_rows_average_what_did_not_diverge():
    inputs = sample.classification(replicates=3, diverged={"torch": (1,)})
    row = only(records.part_rows(inputs.evaluations), framework="torch", metric="loss")
    assert row.values["valid"] == pytest.approx((0.37 + 0.39) / 2)
    assert not row.diverged
    inputs = sample.classification(diverged={"torch": (0,)})
    assert only(records.part_rows(inputs.evaluations), framework="torch", metric="loss").diverged


def test_validation_gap_is_the_largest_over_replicates():
    evaluation = sample.classification(replicates=3).evaluations["keras"]
    assert records.validation_gap(evaluation) == 0
    changed = evaluation.model_copy(update={"recorded_valid": (0.4, 0.5, None)})
    assert records.validation_gap(changed) == pytest.approx(0.09)
    assert records.validation_gap(evaluation.model_copy(update={"recorded_valid": ()})) is None


def histories(*losses):
    return {
        "keras": tuple(
            History(
                epochs=tuple(range(1, len(loss) + 1)),
                learning_rate=(0.1,) * len(loss),
                columns={"train_loss": loss},
            )
            for loss in losses
        )
    }


def test_curves_average_the_replicates_that_reached_an_epoch():
    runs = sample.classification(("keras",), replicates=2).runs
    (panel,) = records.curve_panels(histories((4.0, 2.0), (2.0, 1.0, 1.0)), runs)
    (curve,) = panel.curves
    assert (curve.epochs, curve.mean) == ((1, 2, 3), (3.0, 1.5, 1.0))
    assert (curve.low, curve.high) == ((2.0, 1.0, 1.0), (4.0, 2.0, 1.0))
    assert curve.kept_epoch is None
    assert not panel.logarithmic


def test_a_replicate_that_diverged_is_left_out_of_the_mean():
    runs = sample.classification(("keras",), replicates=2).runs
    (panel,) = records.curve_panels(histories((2.0, 1.0), (900.0, None)), runs)
    (curve,) = panel.curves
    assert (curve.mean, curve.diverged, curve.averaged) == ((2.0, 1.0), 1, 1)


def test_a_curve_of_diverged_replicates_ends_at_the_last_number():
    runs = sample.classification(("keras",)).runs
    (panel,) = records.curve_panels(histories((2.0, 900.0, None)), runs)
    (curve,) = panel.curves
    assert (curve.epochs, curve.mean, curve.diverged) == ((1, 2), (2.0, 900.0), 1)
    assert panel.logarithmic


def test_loss_is_the_first_panel():
    inputs = sample.classification()
    panels = records.curve_panels(inputs.histories, inputs.runs)
    assert [panel.quantity for panel in panels] == ["loss", "accuracy"]
    assert [(curve.framework, curve.part) for curve in panels[0].curves] == [
        ("keras", "train"),
        ("keras", "valid"),
        ("torch", "train"),
        ("torch", "valid"),
    ]
    assert panels[0].curves[1].kept_epoch == 8


def test_confusion_counts_and_names_the_worst_pair():
    evaluation = sample.classification(("keras",)).evaluations["keras"]
    evaluation = evaluation.model_copy(update={"confusion": ((5, 1, 0), (0, 7, 3), (0, 0, 9))})
    (confusion,) = records.confusions({"keras": evaluation}, ("a", "b", "c"))
    assert (confusion.total, confusion.correct) == (25, 21)
    assert confusion.worst == ("b", "c", 3)


def test_a_framework_that_diverged_has_no_confusion_matrix():
    inputs = sample.classification(diverged={"torch": (0,)})
    assert [c.framework for c in records.confusions(inputs.evaluations, sample.CLASSES)] == ["keras"]


def test_residuals_share_their_limits_and_skip_diverged_replicates():
    targets = np.array([1.0, 2.0, 3.0])
    arrays = {
        "keras": records.EvaluationArrays(targets, np.array([[np.nan] * 3, [1.0, 2.0, 6.0]]), None, np.empty((0, 1))),
        "torch": records.EvaluationArrays(targets, np.array([[0.0, 2.0, 3.0]]), None, np.empty((0, 1))),
        "numpy": records.EvaluationArrays(targets, np.array([[np.nan] * 3]), None, np.empty((0, 1))),
    }
    keras, torch = records.residuals(arrays, "y")
    assert keras.replicate == 1
    assert keras.rmse == pytest.approx(3**0.5)
    assert keras.bias == pytest.approx(1)
    assert torch.bias == pytest.approx(-1 / 3)
    assert keras.limits == torch.limits == (0.0, 6.0)


def test_many_residuals_are_thinned_but_keep_both_ends():
    targets = np.random.default_rng(0).random(50_000)
    (shown,) = records.residuals(
        {"keras": records.EvaluationArrays(targets, targets[None], None, np.empty((0, 1)))}, "y"
    )
    assert len(shown.targets) <= records.SHOWN_POINTS
    assert (min(shown.targets), max(shown.targets)) == (targets.min(), targets.max())
    assert shown.rows == 50_000


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((3, 8, 6), (3, 8, 6)),
        ((3, 8, 6, 3), (3, 8, 6, 3)),
        ((3, 3, 8, 6), (3, 8, 6, 3)),
        ((3, 8, 6, 1), (3, 8, 6)),
        ((3, 1, 8, 6), (3, 8, 6)),
        ((3, 8, 6, 5), (3, 8, 6)),
    ],
)
def test_pixels_are_shown_whichever_axis_holds_the_channels(shape, seen):
    pixels = samples.scale_pixels(np.arange(np.prod(shape)).reshape(shape) % 256)
    assert pixels.shape == seen
    assert pixels.min() >= 0
    assert pixels.max() <= 1


def test_bytes_keep_their_brightness():
    assert samples.scale_pixels(np.array([[[51, 204]]], dtype=np.uint8)).tolist() == [[[0.2, 0.8]]]


def test_wrong_samples_are_pictures_or_raw_features():
    images = sample.classification(shape=(8, 8))
    (keras, _) = records.wrong_samples(images.data, images.evaluations, images.arrays)
    assert keras.rows[0].picture.values.shape == (8, 8)
    assert keras.rows[0].features == ()
    table = sample.regression()
    (keras, _) = records.wrong_samples(table.data, table.evaluations, table.arrays, limit=4)
    assert len(keras.rows) == 4
    assert keras.rows[1].features == tuple(table.arrays["keras"].wrong_features[1])
    assert keras.feature_names == table.data.feature_names


def test_cost_uses_the_median_epoch_so_that_compiling_does_not_count():
    timing = sample.classification().timings["keras"]
    slow_start = ReplicateTiming(seconds=9.0, seconds_per_epoch=(5.0, 1.0, 1.0), seconds_to_kept_epoch=6.0)
    timing = timing.model_copy(update={"replicates": (slow_start, slow_start), "samples_per_epoch": 500})
    (row,) = records.cost_rows({"keras": timing})
    assert (row.seconds_per_epoch, row.samples_per_second, row.total_seconds, row.epochs) == (1, 500, 18, 6)
    assert row.seconds_to_kept_epoch == 6


def test_cost_of_a_training_without_an_epoch_is_missing():
    timing = sample.classification().timings["keras"]
    nothing = ReplicateTiming(seconds=0.1, seconds_per_epoch=(), seconds_to_kept_epoch=0.0)
    (row,) = records.cost_rows({"keras": timing.model_copy(update={"replicates": (nothing,)})})
    assert (row.seconds_per_epoch, row.samples_per_second) == (None, None)


def test_a_difference_of_rounding_speaks_for_neither():
    comparison = sample.classification().comparison
    noise = Interval(value=9e-9, low=8e-9, high=1e-8, over="test samples", n=100)
    differences = tuple(each.model_copy(update={"samples": noise}) for each in comparison.differences)
    rows = records.metric_rows(comparison.model_copy(update={"differences": differences}))
    assert {row.favours for row in rows if "samples" in row.over} == {None}


def test_speed_names_the_faster_framework():
    rows = records.cost_rows(sample.classification().timings)
    assert records.speed_sentence(rows).startswith(
        "A typical epoch of Keras is 2.4 times as fast as one of PyTorch; all training took "
    )
    few = [dataclasses.replace(row, epochs=1) for row in rows]
    assert records.speed_sentence(few) == "", "one epoch says nothing of speed"
    assert records.speed_sentence(rows[:1]) == ""


def test_class_balance_leaves_the_test_part_out():
    balance = records.class_balance(sample.classification().data)
    assert list(balance.counts) == ["train", "valid"]
    assert records.class_balance(sample.regression().data) is None


def test_a_scaled_mean_that_is_0_but_for_rounding_is_0():
    (given,) = sample.classification(shape=(8, 8)).scaling.ranges
    many = [given.model_copy(update={"after": (-1.0, mean, 1.0, 1.0)}) for mean in (3e-17, 0.01)] * 20
    shown, left_out = records.feature_ranges(many)
    assert [row.after[1] for row in shown[:2]] == [0.0, 0.01]
    assert (len(shown), left_out) == (30, 10)


def test_environment_rows_say_what_differs():
    rows = records.environment_rows(sample.classification().runs)
    assert only(rows, name="torch").values == {"keras": "–", "torch": "2.13.0"}
    assert only(rows, name="torch").differs
    assert not only(rows, name="python").differs


def test_native_constants_say_what_differs_and_aligned_ones_nothing():
    assert records.native_differences(sample.classification().runs) == {}
    native = records.native_differences(sample.classification(constants="native").runs)
    assert native["keras"] == ("batch normalisation: momentum 0.99 here, 0.9 there",)


def test_diverged_replicates_are_listed_with_the_reason():
    (row,) = records.diverged_rows(sample.classification(replicates=3, diverged={"torch": (1,)}).runs)
    assert (row.framework, row.ended.replicate) == ("torch", 1)
    assert "infinite" in row.ended.explanation


def test_index_rows_add_up_the_training_time_of_all_frameworks():
    rows = records.index_rows(sample.entries())
    assert [row.experiment for row in rows] == ["digits-mlp", "housing-wide-deep", "fast-rate"]
    assert rows[0].seconds == pytest.approx(3 * 10 * 1.2 * (0.5 + 1.2))
    assert [row.diverged for row in rows] == [False, False, True]


def test_the_suite_is_counted():
    entries = sample.entries()
    assert records.suite_sentence(entries) == "3 experiments on 2 data sets, in Keras and PyTorch."
    searched = [dataclasses.replace(entry, search="tpe") for entry in entries]
    assert records.suite_sentence(searched) == "3 searches on 2 data sets, in Keras and PyTorch."
    assert records.suite_sentence([*entries[:2], searched[2]]) == (
        "2 experiments and 1 search on 2 data sets, in Keras and PyTorch."
    )
    assert records.suite_sentence([]) == "0 experiments on 0 data sets."
