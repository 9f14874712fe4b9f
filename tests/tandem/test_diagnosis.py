"""Diagnosis: each case from curves made for it, whatever their scale, length and noise; and the words' numbers."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy import stats

from tandem.diagnosis import (
    TITLES,
    Baseline,
    DiagnosisRecord,
    agreement,
    case_words,
    constant_baseline,
    diagnose_replicate,
    diagnose_run,
)
from tandem.diagnosis.numbers import format_number, format_percent, format_signed_percent, format_times
from tandem.diagnosis.trends import loss_trend, scatter, theil_sen, window_of
from tandem.losses import allowed_losses, output_layer, sample_losses
from tandem.records import History, ReplicateRecord

LENGTHS = (10, 30, 100)
NOISES = (0.0, 0.005, 0.02)
SCALES = (1e-3, 1.0, 1e6)

# Training and validation loss over t from 0 to 1, as shares of the baseline's loss; and the main case.
SHAPES = {
    "still learning": (lambda t: 0.9 * np.exp(-2 * t), lambda t: 0.95 * np.exp(-1.8 * t)),
    "overfitting": (lambda t: 0.9 * np.exp(-3 * t), lambda t: 0.45 + 0.5 * np.exp(-25 * t)),
    "data set at fault": (lambda t: 0.6 + 0 * t, lambda t: 0.9 * np.exp(-1.2 * t)),
    "bottleneck": (lambda t: 0.9 + 0 * t, lambda t: 0.92 + 0 * t),
    "converged": (lambda t: 0.2 + 0.7 * np.exp(-18 * t), lambda t: 0.21 + 0.7 * np.exp(-18 * t)),
    "rising losses": (lambda t: 0.3 * np.exp(0.36 * t), lambda t: 0.31 * np.exp(0.36 * t)),
    "divergence": (lambda t: 0.5 * np.exp(1.5 * t), lambda t: 0.5 * np.exp(1.5 * t)),
}  # fmt: skip


def baseline(loss=1.0, metric="accuracy", value=0.1):
    return Baseline(loss=loss, metric=metric, value=value, words="made")


def history(train, valid=None, norms=None, rates=None, **columns):
    """Return a history of losses; NaN stands for a loss that is not finite."""
    n = len(train)
    given = {"train_loss": train} | ({} if valid is None else {"valid_loss": valid}) | columns
    return History(
        epochs=tuple(range(1, n + 1)),
        learning_rate=tuple(rates) if rates is not None else (0.1,) * n,
        columns={
            name: tuple(None if math.isnan(value) else float(value) for value in values)
            for name, values in given.items()
        },
        gradient_norms=norms or {},
    )


def ended(outcome="finished", epochs=10, kept=None, replicate=0):
    return ReplicateRecord(
        replicate=replicate, seed=replicate, outcome=outcome, epochs=epochs, kept_epoch=kept or epochs, explanation=""
    )


def diagnose(train, valid=None, *, base=None, outcome="finished", kept=None, norms=None, **more):
    given = history(train, valid, norms, **more)
    return diagnose_replicate(given, ended(outcome, len(given.epochs), kept), base or baseline())


def cases(*arguments, **more):
    return [found.case for found in diagnose(*arguments, **more).diagnoses]


def text(found, case):
    return " ".join(next(each.sentences for each in found.diagnoses if each.case == case))


def made(shape, length, noise, seed):
    """Return training and validation losses of a shape with log-normal noise from epoch to epoch."""
    t = np.linspace(0, 1, length)
    generator = np.random.default_rng(seed)
    return [curve(t) * np.exp(noise * generator.normal(size=length)) for curve in SHAPES[shape]]


# ------------------------------------------------------------------------------------------------- the cases


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("shape", SHAPES)
def test_each_case_is_named_whatever_the_length_and_the_noise(shape, length, noise):
    for seed in range(5):
        assert cases(*made(shape, length, noise, seed))[0] == shape, seed


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_scale_of_the_loss_changes_nothing(shape, scale):
    train, valid = made(shape, 30, 0.02, 1)
    plain = diagnose(train, valid)
    scaled = diagnose(scale * train, scale * valid, base=baseline(scale))
    assert [found.case for found in scaled.diagnoses] == [found.case for found in plain.diagnoses]
    assert scaled.train == pytest.approx(plain.train) or scaled.train.direction == plain.train.direction
    assert scaled.learned == pytest.approx(plain.learned)


@pytest.mark.parametrize("length", [7, 20, 60])
@pytest.mark.parametrize("noise", [0.003, 0.02, 0.1, 0.3])
def test_pure_noise_is_flat(noise, length):
    wrong = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        train, valid = 0.9 * np.exp(noise * generator.normal(size=(2, length)))
        wrong += cases(train, valid)[0] != "bottleneck"
    assert wrong <= 5  # two intervals at 99 %


def test_without_validation_rows_the_training_loss_alone_is_read():
    for shape, case in (("still learning", "still learning"), ("converged", "converged"), ("bottleneck", "bottleneck"),
                        ("rising losses", "rising losses")):  # fmt: skip
        assert cases(made(shape, 30, 0.01, 0)[0])[0] == case
    assert "There are no validation rows, so overfitting cannot be judged." in text(
        diagnose(made("converged", 30, 0.01, 0)[0]), "converged"
    )


def test_weights_that_were_never_trained_are_named_so():
    found = diagnose([])
    assert [entry.title for entry in found.diagnoses] == ["Not trained"]


def test_training_that_rises_while_validation_falls_points_at_the_data():
    t = np.linspace(0, 1, 30)
    assert cases(0.3 * np.exp(0.3 * t), 0.9 * np.exp(-t)) == ["data set at fault"]


def test_a_training_loss_that_falls_towards_validation_is_no_overfitting():
    """Dropout makes the training loss the higher one."""
    t = np.linspace(0, 1, 30)
    assert cases(0.3 + 0.5 * np.exp(-4 * t), 0.28 + 0 * t) == ["still learning"]


def test_both_losses_high_is_underfitting_whatever_the_trends():
    t = np.linspace(0, 1, 30)
    assert cases(0.7 + 0 * t, 0.72 + 0 * t) == ["bottleneck", "underfitting"]
    assert cases(0.99 - 0.3 * t, 0.99 - 0.28 * t) == ["still learning", "underfitting"]
    assert "underfitting" not in cases(0.3 + 0 * t, 0.7 + 0 * t)


def test_no_better_than_a_constant_is_said_so():
    found = diagnose(np.full(20, 1.01), np.full(20, 1.0))
    assert [each.title for each in found.diagnoses] == ["Bottleneck", "Underfitting: no better than a constant"]
    assert "a constant prediction has 1.000 on the training rows: no better than that." in text(found, "underfitting")
    assert found.diagnoses[1].advice[0].startswith("Use more units or layers")
    worse = diagnose(np.full(20, 3.0), np.full(20, 3.0))
    assert "worse than that" in text(worse, "underfitting")
    assert worse.diagnoses[1].advice[0] == "Lower the learning rate; check that features and targets are scaled."


def test_memorised_rows_are_named():
    t = np.linspace(0, 1, 40)
    found = diagnose(0.9 * np.exp(-9 * t), 0.35 + 0.5 * np.exp(-9 * t))
    assert found.diagnoses[0].title == "Overfitting: the training rows are memorised"
    assert cases(np.full(40, 1e-5), np.full(40, 0.4)) == ["overfitting"]


def test_a_gap_that_costs_next_to_nothing_is_no_overfitting():
    """Every row right in both parts: the losses differ by a factor that means nothing."""
    assert cases(np.full(40, 1e-5), np.full(40, 2e-4)) == ["converged"]


def test_a_large_gap_is_named_beside_curves_that_both_still_fall():
    t = np.linspace(0, 1, 40)
    assert cases(0.9 * np.exp(-4 * t), 0.9 * np.exp(-t)) == ["still learning", "overfitting"]


def test_a_rise_since_the_best_epoch_is_named_with_what_was_kept():
    t = np.linspace(0, 1, 50)
    train = 0.5 * np.exp(-1.5 * t)
    valid = 0.3 + 0.2 * np.exp(-12 * t) + 0.15 * t
    best = int(np.argmin(valid))
    found = diagnose(train, valid, kept=best + 1)
    words = text(found, "overfitting")
    rise = np.median(valid[-3:]) / valid[best] - 1
    assert (
        f"lowest about epoch {best + 1}, {valid[best]:.4f}, and has risen by {100 * rise:.1f}\N{NO-BREAK SPACE}%"
        in words
    )
    assert f"the weights kept are those of epoch {best + 1}." in words
    assert "checkpoint: best" in " ".join(found.diagnoses[0].advice)


def test_a_rise_that_ended_before_the_last_epochs_is_still_seen():
    epochs = np.arange(1, 51)
    train = np.interp(epochs, [1, 30], [0.55, 0.4])
    valid = np.interp(epochs, [1, 15, 30], [0.6, 0.45, 0.5])
    assert cases(train, valid) == ["overfitting"]
    assert cases(np.full(50, 0.4), valid) == ["converged"], "training did not gain by it"


def test_validation_that_rises_over_a_flat_training_loss_is_overfitting():
    rising = np.linspace(0.33, 0.38, 40)
    assert cases(np.full(40, 0.3), rising) == ["overfitting"]
    assert cases(np.full(40, 0.4), rising) == ["rising losses"], "it lies below the training loss"


@pytest.mark.parametrize(("ends", "case"), [(0.485, "still learning"), (0.45, "overfitting")])
def test_a_gap_of_less_than_a_twentieth_is_none(ends, case):
    assert cases(np.linspace(0.6, ends, 20), np.full(20, 0.5)) == [case]


def test_a_noisy_validation_loss_that_keeps_its_distance_is_no_overfitting():
    """Its fall is lost in its noise; the gap does not grow."""
    t = np.linspace(0, 1, 30)
    train, falling = 0.3 * np.exp(-0.3 * t), 0.4 * np.exp(-0.3 * t)
    read = 0
    for seed in range(20):
        noisy = falling * np.exp(0.06 * np.random.default_rng(seed).normal(size=30))
        found = diagnose(train, noisy)
        if found.valid.direction == "flat":
            read += 1
            assert found.diagnoses[0].case == "still learning"
    assert read > 10


def test_a_fall_of_next_to_nothing_is_no_learning():
    losses = np.geomspace(9e-4, 1e-4, 20)
    found = diagnose(losses, losses)
    assert [each.case for each in found.diagnoses] == ["converged"]
    assert "the training loss is next to nothing, from" in text(found, "converged")
    assert cases(100 * losses, 100 * losses) == ["still learning"]


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.3])
def test_scatter_is_the_noises_standard_deviation_whatever_the_trend(noise):
    losses = np.exp(noise * np.random.default_rng(0).normal(size=20_000) - 0.01 * np.arange(20_000))
    assert scatter(losses) == pytest.approx(noise, rel=0.05)


def test_a_spike_at_the_end_changes_nothing():
    for shape in ("still learning", "converged", "bottleneck", "overfitting"):
        for place in (-1, -2, -4):
            train, valid = made(shape, 30, 0.01, 0)
            train[place], valid[place] = 8 * train[place], 8 * valid[place]
            assert cases(train, valid)[0] == shape, place


def test_early_stopping_that_came_too_soon_is_said():
    train, valid = made("still learning", 10, 0.0, 0)
    advice = diagnose(train, valid, outcome="stopped early").diagnoses[0].advice[0]
    assert (
        advice
        == "It was stopped while it still learned: loosen the rule that did so (patience, min_delta or stop_below)."
    )
    assert diagnose(train, valid).diagnoses[0].advice[0] == "Train for more epochs."


def test_a_run_that_stopped_early_on_a_flat_curve_converged():
    t = np.arange(14)
    assert cases(0.3 + 0.6 * 0.3**t, 0.32 + 0.6 * 0.3**t, outcome="stopped early") == ["converged"]


def test_a_decayed_learning_rate_is_named_where_curves_are_flat():
    rates = 0.1 * 0.8 ** np.arange(30)
    words = text(diagnose(np.full(30, 0.9), np.full(30, 0.9), rates=rates), "bottleneck")
    assert f"The learning rate has decayed from 0.1000 to {format_number(rates[-1])}." in words


def test_a_training_loss_that_swings_is_unstable():
    swinging = 0.8 * np.exp(0.4 * np.random.default_rng(0).normal(size=30))
    assert "unstable" in cases(swinging, np.full(30, 0.8))
    assert "unstable" not in cases(0.01 * swinging, np.full(30, 0.01)), "it costs nothing"


# ------------------------------------------------------------------------------------ too few epochs, and NaN


@pytest.mark.parametrize("epochs", [1, 2, 4])
def test_too_few_epochs_are_not_judged(epochs):
    found = diagnose(np.linspace(0.9, 0.3, epochs), np.linspace(0.9, 0.3, epochs))
    assert found.train is None
    assert found.diagnoses[0].case == "too few epochs"
    said = "1 epoch is" if epochs == 1 else f"{epochs} epochs are"
    assert found.diagnoses[0].sentences[0].startswith(f"{said} too few to judge a trend; it takes 5.")


def test_one_epoch_shows_its_loss_once():
    assert "The training loss was 0.3000 in epoch 1." in text(diagnose([0.3], [0.3]), "too few epochs")


def test_five_epochs_are_judged():
    assert cases(np.linspace(0.9, 0.3, 5), np.linspace(0.9, 0.3, 5)) == ["still learning"]


def test_a_loss_lost_in_the_first_epoch_diverged():
    found = diagnose([np.nan], [np.nan], outcome="diverged")
    assert [each.case for each in found.diagnoses] == ["divergence", "exploding gradients"]
    assert text(found, "divergence") == "The training loss was no longer finite in epoch 1, the first."
    assert found.learned is None


def test_a_loss_that_grew_before_it_was_lost_exploded():
    found = diagnose([2.0, 1.5, 30.0, 4e5, np.nan], [2.0, 1.6, 31.0, 5e5, np.nan], outcome="diverged")
    assert [each.case for each in found.diagnoses] == ["divergence", "exploding gradients"]
    assert "the training loss was 2.000 in epoch 1 and 400,000 in epoch 4." in text(found, "divergence")
    assert "grew from 1.500 in epoch 2 to 400,000 in epoch 4." in text(found, "exploding gradients")


def test_a_loss_lost_without_growth_diverged_only():
    """The logarithm of zero, say."""
    assert cases([2.0, 1.5, 1.4, np.nan], outcome="diverged") == ["divergence"]


def test_validation_alone_can_diverge():
    found = diagnose([0.9, 0.8], [0.9, np.nan], outcome="diverged")
    assert text(found, "divergence") == (
        "The loss was no longer finite in epoch 2; the training loss was 0.9000 in epoch 1 and 0.8000 in epoch 2."
    )


def test_a_loss_that_ends_well_above_its_start_diverged_without_being_lost():
    found = diagnose(np.linspace(1, 3, 20), np.linspace(1, 3, 20))
    assert [each.case for each in found.diagnoses[:2]] == ["divergence", "rising losses"]
    level = np.median(np.linspace(1, 3, 20)[-3:])
    assert f"{level:.3f} (median of the last 3 epochs), {level:.3g} times the 1.000 of epoch 1" in text(
        found, "divergence"
    )


def test_validation_that_ends_above_its_start_is_overfitting_not_divergence():
    t = np.linspace(0, 1, 30)
    found = cases(0.9 * np.exp(-5 * t), 0.4 + 0.8 * t)
    assert found == ["overfitting"]


# --------------------------------------------------------------------------------------------- gradient norms


def norms(first, last, middle=1.0):
    return {
        "dense_1": tuple(first),
        "dense_2": (middle,) * len(first),
        "output": tuple(last),
    }


def test_a_first_layer_without_gradient_that_does_not_start_vanishes():
    found = diagnose(np.full(6, 1.0), np.full(6, 1.0), norms=norms([2e-9] + [1e-9] * 6, [1.0] + [0.5] * 6))
    assert [each.case for each in found.diagnoses] == ["vanishing gradients"]
    words = text(found, "vanishing gradients").replace("\N{NO-BREAK SPACE}", " ")
    assert words.startswith(
        "The norm of the gradient in dense_1 is 2.00 × 10⁻⁹ of that in output (median of 7 measurements): before "
        "training 2.00 × 10⁻⁹ against 1.000, at the end 1.00 × 10⁻⁹ against 0.5000."
    )


def test_small_gradients_that_learn_are_no_case():
    t = np.linspace(0, 1, 6)
    assert "vanishing gradients" not in cases(1 - 0.6 * t, 1 - 0.6 * t, norms=norms([1e-9] * 7, [1.0] * 7))


def test_vanishing_gradients_show_in_two_epochs():
    assert cases([1.0, 1.0], norms=norms([1e-9] * 3, [1.0] * 3)) == ["vanishing gradients"]


def test_a_gradient_that_stops_after_a_good_start_means_dead_units():
    found = diagnose(np.full(6, 1.0), np.full(6, 1.0), norms=norms([3.0, 0.0] + [0.0] * 5, [2.0] + [0.1] * 6))
    assert [each.case for each in found.diagnoses] == ["dead units"]
    assert "its norm was 3.000 before training and is 0 at the end, while that of output is 0.1000." in text(
        found, "dead units"
    )


def test_norms_that_grow_while_nothing_is_learned_explode():
    found = diagnose(np.full(6, 1.2), np.full(6, 1.2), norms=norms([3.0, 9.0, 4e3, 20, 20, 20, 20], [4.0] * 7, 0.0))
    assert found.diagnoses[0].case == "exploding gradients"
    assert "grew from 5.000 before training to 4,000 after epoch 2: 800 times as much." in text(
        found, "exploding gradients"
    )


def test_norms_that_grow_while_the_loss_falls_are_no_case():
    t = np.linspace(0, 1, 6)
    assert "exploding gradients" not in cases(1 - 0.8 * t, 1 - 0.8 * t, norms=norms([1.0] + [1e4] * 6, [1.0] * 7))


def test_a_norm_that_is_not_finite_explodes():
    found = diagnose([1.0, np.nan], outcome="diverged", norms=norms([1.0, 50.0, None], [0.0, 0.0, None], 0.0))
    assert text(found, "exploding gradients") == (
        "The norm of the gradient was no longer finite after epoch 2; until then it was at most 50.00, and 1.000 "
        "before training."
    )


def test_a_norm_that_is_not_finite_before_training_points_at_the_data():
    found = diagnose([np.nan], outcome="diverged", norms=norms([None, None], [None, None]))
    assert text(found, "exploding gradients") == "The norm of the gradient was not finite even before training."
    assert found.diagnoses[1].advice[0] == "Look for missing, infinite or very large values in the data."


def test_finite_norms_that_did_not_grow_speak_against_an_explosion():
    assert cases([np.nan], outcome="diverged", norms=norms([1.0, 1.0], [1.0, 1.0])) == ["divergence"]


# ------------------------------------------------------------------------------------------ thresholds' edges


@pytest.mark.parametrize(
    ("loss", "named"),
    [(0.5, False), (0.5 + 1e-9, True)],
)
def test_half_of_the_baselines_loss_parts_underfitting_from_the_rest(loss, named):
    found = cases(np.full(10, loss), np.full(10, loss))
    assert ("underfitting" in found) is named
    assert found[0] == ("bottleneck" if named else "converged")


@pytest.mark.parametrize(("loss", "named"), [(0.95 - 1e-9, False), (0.95 + 1e-9, True)])
def test_a_twentieth_of_the_baselines_loss_is_a_start(loss, named):
    found = cases(np.full(6, loss), np.full(6, loss), norms=norms([1e-9] * 7, [1.0] * 7))
    assert ("vanishing gradients" in found) is named


@pytest.mark.parametrize(("ratio", "named"), [(1e-3, True), (1.01e-3, False)])
def test_a_thousandth_of_the_last_layers_gradient_has_vanished(ratio, named):
    found = cases(np.full(6, 1.0), np.full(6, 1.0), norms=norms([ratio] * 7, [1.0] * 7))
    assert ("vanishing gradients" in found) is named


@pytest.mark.parametrize(("ends", "named"), [(1.5, False), (1.5 + 1e-6, True)])
def test_half_as_much_again_as_at_the_start_is_divergence(ends, named):
    assert ("divergence" in cases([1.0, *[ends] * 9], [1.0] * 10)) is named


@pytest.mark.parametrize(("growth", "named"), [(100, True), (99, False)])
def test_a_hundredfold_norm_explodes(growth, named):
    found = cases(np.full(3, 1.0), norms={"output": (2.0, 2.0, 2 * growth, 2.0)})
    assert ("exploding gradients" in found) is named


@pytest.mark.parametrize("excess", [1e-6, -1e-6])
def test_a_gap_counts_by_its_share_of_the_validation_loss_and_of_the_baseline(excess):
    valid = 0.4
    train = valid * (0.7 - excess)
    assert ("overfitting" in cases(np.full(20, train), np.full(20, valid))) is (excess > 0)
    valid = 0.11 + excess
    assert ("overfitting" in cases(np.full(20, 0.01), np.full(20, valid))) is (excess > 0)


@pytest.mark.parametrize("factor", [1.01, 0.99])
def test_a_change_over_the_window_counts_from_two_percent(factor):
    epochs = range(1, 9)
    losses = np.exp(np.log1p(-factor * 0.02) * np.arange(8) / 7)
    trend = loss_trend(tuple(epochs), tuple(losses))
    assert trend.direction == ("falls" if factor > 1 else "flat")
    assert trend.is_clear


# ------------------------------------------------------------------------------------------------ the numbers


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [5, 7, 20, 60])
def test_slope_and_interval_are_sens(n, seed):
    generator = np.random.default_rng(seed)
    x, y = np.arange(n, dtype=float), generator.normal(size=n) - 0.1 * np.arange(n)
    slope, low, high = theil_sen(x, y)
    expected = stats.theilslopes(y, x, 0.99)
    assert (slope, low, high) == pytest.approx((expected.slope, expected.low_slope, expected.high_slope))


def test_a_window_of_thousands_of_epochs_is_thinned_and_ends_with_the_last():
    x = np.arange(100_000, dtype=float)
    assert theil_sen(x, -0.01 * x)[0] == pytest.approx(-0.01)
    assert theil_sen(x, np.where(x == x[-1], np.nan, 0.0))[0] is not None
    assert [window_of(n) for n in (3, 7, 20, 22, 300)] == [3, 7, 8, 9, 120]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_sentence_on_trends_has_the_right_numbers(shape):
    train, valid = made(shape, 30, 0.02, 3)
    words = " ".join(sentence for each in diagnose(train, valid).diagnoses for sentence in each.sentences)
    assert "Over epochs 19 to 30 the training loss " in words
    for name, losses in (("training", train), ("validation", valid)):
        slope, _, low, high = stats.theilslopes(np.log(losses[-12:]), np.arange(12), 0.99)
        part = re.search(rf"the {name} loss ([^;]*?)[;.](?: |$)(?!\d)", words).group(1)
        assert f"from {format_number(losses[-12])} to {format_number(losses[-1])}" in part
        if part.startswith(("falls", "rises")):
            ends = sorted(abs(math.expm1(end)) for end in (low, high))
            assert part.startswith("falls" if slope < 0 else "rises")
            assert f"by {format_percent(abs(math.expm1(slope)))} per epoch" in part
            assert f"interval {format_percent(ends[0])} to {format_percent(ends[1])})" in part
        else:
            shown = [format_signed_percent(math.expm1(end)) for end in (low, high)]
            assert f"interval {shown[0]} to {shown[1]} per epoch)" in part


def test_the_sentence_on_the_level_has_the_right_numbers():
    valid = np.array([2.0, 1.5, 0.9, 0.5, 0.41, 0.44, 0.40, 0.42, 0.43, 0.40])
    found = diagnose(np.full(10, 0.4), valid, base=baseline(2.3))
    assert found.learned == pytest.approx(1 - 0.42 / 2.3)
    assert (
        "The validation loss ends at 0.4200 (median of the last 3 epochs); a constant prediction has 2.300 on the "
        "training rows: 81.7\N{NO-BREAK SPACE}% of the way from there to a perfect score."
    ) in text(found, found.diagnoses[0].case)


def test_the_sentence_on_the_gap_has_the_right_numbers():
    train, valid = np.linspace(0.5, 0.1, 20), np.full(20, 0.5)
    accuracy = {"train_accuracy": np.full(20, 0.99), "valid_accuracy": np.full(20, 0.8)}
    words = text(diagnose(train, valid, **accuracy), "overfitting").replace("\N{NO-BREAK SPACE}", " ")
    low, first = np.median(train[-3:]), np.median(train[:3])
    assert (
        f"The validation loss ends {0.5 - low:.4f} above the training loss, {200 * (0.5 - low):.1f} % of the former "
        f"(medians of the last 3 epochs: 0.5000 and {low:.4f}); in the first 3 epochs it was "
        f"{format_number(0.5 - first)} above. Training accuracy is 0.9900, validation accuracy 0.8000."
    ) in words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0"), (0.12345, "0.1235"), (-3.21, "−3.210"), (12345.6, "12,346"), (None, "not finite"),
     (3.2e-9, "3.20\xa0×\xa010⁻⁹"), (-4.56e7, "−4.56\xa0×\xa010⁷"), (999_999.0, "999,999")],
)  # fmt: skip
def test_numbers_are_readable(value, words):
    assert format_number(value) == words


def test_shares_and_factors_are_readable():
    assert format_percent(0.0312) == "3.1\xa0%"
    assert format_percent(-0.0312) == "−3.1\xa0%"
    assert format_percent(12.5) == "1,250\xa0%"
    assert format_percent(-1e-6) == "0.0\xa0%"
    assert format_signed_percent(0.5) == "+50.0\xa0%"
    assert format_signed_percent(1e-6) == "0.0\xa0%"
    assert format_times(12.34) == "12.3 times"
    assert format_times(1e8) == "1.00\xa0×\xa010⁸ times"


# -------------------------------------------------------------------------------------------------- baselines


def test_the_baseline_of_cross_entropy_is_the_entropy_of_the_shares():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    found = constant_baseline("classification", "cross_entropy", labels)
    assert found.loss == pytest.approx(stats.entropy([0.5, 0.3, 0.2]))
    assert (found.metric, found.value) == ("accuracy", 0.5)
    assert found.words == "always the training rows’ shares of the classes, the largest 50.0\xa0%"


def test_the_baseline_of_two_classes_is_the_best_constant():
    labels = np.repeat([0, 1], [70, 30])
    guesses = np.linspace(0.001, 0.999, 999)
    entropy = [-(0.3 * np.log(guess) + 0.7 * np.log(1 - guess)) for guess in guesses]
    squares = [np.mean((guess - labels) ** 2) for guess in guesses]
    assert constant_baseline("classification", "binary_cross_entropy", labels).loss == pytest.approx(min(entropy))
    assert constant_baseline("classification", "mse", labels).loss == pytest.approx(min(squares))


def test_the_baseline_of_a_regression_is_the_mean_or_the_median():
    values = np.random.default_rng(0).gamma(2.0, size=500).astype(np.float32)
    squared, absolute = (constant_baseline("regression", loss, values) for loss in ("mse", "mae"))
    assert squared.loss == pytest.approx(values.astype(float).var())
    assert absolute.loss == pytest.approx(np.abs(values.astype(float) - np.median(values)).mean())
    assert squared.value == absolute.value == pytest.approx(absolute.loss)
    assert squared.words.startswith("always the mean of the training targets")


@pytest.mark.parametrize(
    ("task", "classes", "loss"),
    [(task, classes, loss) for task, classes in (("classification", 2), ("classification", 3), ("regression", 0))
     for loss in allowed_losses(task, classes)],
)  # fmt: skip
def test_the_baseline_is_the_least_that_training_records_for_a_constant(task, classes, loss):
    """Every loss that can be declared has one; the best constant's neighbours score higher."""
    generator = np.random.default_rng(3)
    targets = np.repeat(np.arange(3), [50, 30, 20]) % classes if classes else generator.gamma(2.0, size=201)
    output, units = output_layer(task, loss, classes)
    shares = np.bincount(targets, minlength=classes) / len(targets) if classes else None
    if output == "softmax":
        constant = np.log(shares)
    elif output == "sigmoid":
        constant = np.log(shares[1:] / shares[0])
    else:
        constant = np.array([np.median(targets) if loss == "mae" else targets.mean()])

    def recorded(raw):
        return sample_losses(loss, np.tile(raw, (len(targets), 1)), targets, output).mean()

    found = constant_baseline(task, loss, targets).loss
    assert found == pytest.approx(recorded(constant))
    for unit in range(units):
        for step in (-0.05, 0.05):
            assert recorded(constant + step * np.eye(units)[unit]) > found


def test_several_outputs_are_judged_by_the_metric():
    """Their losses are summed, and one of them may learn nothing by design."""
    values = np.arange(100.0)
    base = constant_baseline("regression", "mse", values, outputs=2)
    assert base.loss is None
    mae = {"train_mae": np.full(10, 0.2 * base.value), "valid_mae": np.full(10, 0.25 * base.value)}
    found = diagnose(np.full(10, 6.6), np.full(10, 6.6), base=base, **mae)
    assert found.learned == pytest.approx(0.75)
    assert [each.case for each in found.diagnoses] == ["converged"]
    assert "The validation mean absolute error ends at 6.250" in text(found, "converged")


def test_a_loss_that_is_not_known_is_judged_by_the_metric():
    base = constant_baseline("classification", "hinge", np.repeat([0, 1], 50))
    accuracy = {"train_accuracy": np.full(10, 0.99), "valid_accuracy": np.full(10, 0.9)}
    found = diagnose(np.full(10, 0.3), np.full(10, 0.3), base=base, **accuracy)
    assert found.learned == pytest.approx((0.9 - 0.5) / 0.5)


def test_a_single_class_leaves_nothing_to_judge_a_level_by():
    base = constant_baseline("classification", "cross_entropy", np.zeros(20, dtype=int))
    assert diagnose(np.full(10, 0.3), np.full(10, 0.3), base=base).learned is None
    assert cases(np.full(10, 0.3), np.full(10, 0.3), base=base) == ["converged"]


# --------------------------------------------------------------------------------------------- over replicates


def run(framework, *shapes, outcomes=()):
    histories, records = [], []
    for replicate, shape in enumerate(shapes):
        diverged = replicate in outcomes
        histories.append(history([np.nan]) if diverged else history(*made(shape, 30, 0.01, replicate)))
        records.append(ended("diverged" if diverged else "finished", 1 if diverged else 30, replicate=replicate))
    return diagnose_run(framework, histories, records, baseline())


def test_the_case_of_most_replicates_is_the_runs():
    found = run("keras", "converged", "overfitting", "overfitting", "converged", "overfitting")
    assert [(each.case, each.trainings, each.of) for each in found.findings] == [
        ("overfitting", ("replicate 1", "replicate 2", "replicate 4"), 5),
        ("converged", ("replicate 0", "replicate 3"), 5),
    ]
    assert found.main.by_majority
    assert found.main.sentences == found.replicates[1].diagnoses[0].sentences


def test_of_equally_many_the_graver_case_is_the_runs():
    assert run("keras", "converged", "overfitting").main.case == "overfitting"
    assert not run("keras", "converged", "overfitting").main.by_majority
    assert run("keras", "converged", "converged", outcomes=(1,)).main.case == "divergence"


def test_agreement_is_said_over_any_number_of_frameworks():
    one, two, three = (run(name, "overfitting") for name in ("keras", "torch", "numpy"))
    other = run("torch", "converged")
    assert agreement({"keras": one}) == ""
    assert agreement({"keras": one, "torch": two}) == "Keras and PyTorch agree: overfitting."
    assert agreement({"keras": one, "torch": two, "numpy": three}) == "Keras, PyTorch and NumPy agree: overfitting."
    assert agreement({"keras": one, "torch": other}) == "The frameworks differ: Keras: overfitting; PyTorch: converged."


def test_a_word_for_the_index_is_one_where_the_frameworks_agree():
    one, two = run("keras", "overfitting"), run("torch", "converged")
    assert case_words(DiagnosisRecord(baseline=baseline(), runs={"keras": one}, agreement="")) == "overfitting"
    both = DiagnosisRecord(baseline=baseline(), runs={"keras": one, "torch": two}, agreement="")
    assert case_words(both) == "Keras: overfitting; PyTorch: converged"


def test_trainings_on_folds_are_told_apart():
    histories = [history(*made("converged", 30, 0.01, fold)) for fold in range(2)]
    records = [ended(epochs=30).model_copy(update={"fold": fold}) for fold in range(2)]
    found = diagnose_run("keras", histories, records, baseline())
    assert found.main.trainings == ("replicate 0 on fold 1", "replicate 0 on fold 2")


def test_a_diagnosis_survives_its_file():
    found = run("keras", "overfitting", "converged", outcomes=(1,))
    record = DiagnosisRecord(baseline=baseline(), runs={"keras": found}, agreement="")
    assert DiagnosisRecord.model_validate_json(record.model_dump_json()) == record


def test_extreme_losses_are_read():
    for losses in ([0.0] * 10, [1e-300] * 10, [1e300] * 10, list(np.geomspace(1e-300, 1e300, 10)), [5e-324] * 5):
        for base in (baseline(), baseline(None)):
            assert {found.case for found in diagnose(losses, losses, base=base).diagnoses} <= set(TITLES)
