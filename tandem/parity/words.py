"""The parity ladder in words: how far two frameworks agree, where they part, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tandem import titles
from tandem.parity.records import DTYPES, UNITS, LadderRecord, PairRecord, Rung, RungRecord
from tandem.records import Number

RUNG_TITLES: Mapping[Rung, str] = {
    "weights": "initial weights",
    "outputs": "outputs of every layer, untrained",
    "gradients": "loss and gradients",
    "one_step": "one step of the optimiser",
    "ten_steps": "ten steps",
}
_AT: Mapping[Rung, str] = {
    "weights": "in the initial weights",
    "outputs": "in the untrained outputs",
    "gradients": "in the loss and gradients",
    "one_step": "after one step",
    "ten_steps": "after ten steps",
}
_STEEP = 10.0  # growth over the layers that is worth a sentence
_LISTED = 3  # arrays that are named one by one
_ALL = 0.1  # a relative change that leaves nothing as it was
_JUMP = 10.0  # more growth in float32 than in float64 that no smooth function explains
_CHAOTIC = 1e6  # growth of one unit in the last place over ten steps
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(value: Number) -> str:
    """Return a difference with one digit and a power of ten: "3 · 10⁻¹⁶", "0", or "not finite"."""
    if value is None or not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    digit, _, exponent = f"{value:.0e}".partition("e")
    if int(exponent) == 0:
        return digit
    tens = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return tens if digit == "1" else f"{digit}\N{NO-BREAK SPACE}·\N{NO-BREAK SPACE}{tens}"


def ladder_sentences(ladder: LadderRecord) -> tuple[str, ...]:
    """Say with what the frameworks climbed."""
    shown = f"ten batches of at most {ladder.batch_size} rows" if ladder.batch_size > 1 else "ten batches of one row"
    found = [
        f"Every framework is given the same {shown}, in the experiment’s own order, with its own network, loss, "
        f"optimiser and learning rates; {ladder.rows} different training rows are among them."
    ]
    if ladder.stilled:
        one = len(ladder.stilled) == 1
        found.append(
            f"{titles.listing(ladder.stilled)} {'is' if one else 'are'} switched off here: random layers draw from "
            "each framework’s own generator, so with them only trainings over several seeds can be compared."
        )
    if ladder.constants == "native":
        found.append(
            "The constants are native, so the first rung is not reached: from the second on, all frameworks are given "
            "the same weights, which shows what else differs."
        )
    if ladder.constants == "aligned-torch":
        found.append("The constants are PyTorch’s in every framework.")
    if ladder.unwitnessed:
        found.append(f"NumPy is no witness here: {ladder.unwitnessed}.")
    return tuple(found)


def pair_sentences(pair: PairRecord) -> tuple[str, ...]:
    """Say how far two frameworks agree, where they part, and why."""
    first, second = (titles.FRAMEWORKS.get(name, name) for name in (pair.first, pair.second))
    missed = [rung for rung in pair.rungs if not rung.reached]
    last = {rung.dtype: rung for rung in pair.rungs if rung.rung == "ten_steps"}
    if not missed:
        found = [
            f"{first} and {second} reach every rung: after ten steps their largest relative difference is "
            f"{power(last['float64'].difference)} in float64 and {power(last['float32'].difference)} in float32."
        ]
    else:
        rungs = titles.listing([f"{RUNG_TITLES[rung.rung]} in {rung.dtype}" for rung in missed])
        found = [f"{first} and {second} part on: {rungs}."]
    for reason in dict.fromkeys(rung.reason for rung in missed):
        found += _explained([rung for rung in missed if rung.reason == reason], (first, second), pair.differences)
    found += _growth(pair.rungs)
    undetermined = list(dict.fromkeys(name for rung in pair.rungs for name in rung.undetermined))
    if undetermined:
        one = len(undetermined) == 1
        more = len(undetermined) - _LISTED
        named = undetermined if more <= 0 else [*undetermined[:_LISTED], f"{more} more"]
        found.append(
            f"{titles.listing(named)} {'is' if one else 'are'} left out of the steps: no output depends on "
            f"{'it' if one else 'them'} (batch normalisation takes a bias before it away), so the gradient is zero but "
            f"for rounding, and rounding alone decides what {'it becomes' if one else 'they become'}."
        )
    return tuple(found)


def _explained(
    missed: Sequence[RungRecord], names: tuple[str, str], differences: tuple[tuple[str, ...], tuple[str, ...]]
) -> list[str]:
    """Say why some rungs, all missed for one reason, are not reached."""
    rung, reason = missed[0], missed[0].reason
    if reason == "rounding":
        rung = max(missed, key=lambda rung: (rung.difference or 0.0) / rung.tolerance)
    where = _where(rung)
    if reason == "not_finite":
        return [f"Numbers are no longer finite {_AT[rung.rung]}{where}: the training diverges."]
    if reason == "constants":
        own = [f"{name}’s {text}" for name, texts in zip(names, differences, strict=True) for text in texts]
        return [f"They differ where their own constants do: {'; '.join(own)}."]
    if reason == "rounding":
        nudge = f"comes to {power(rung.rounding)}" if (rung.rounding or 0.0) < _ALL else "changes everything"
        return [
            f"Rounding alone brings that about: one unit in the last place of each initial weight {nudge} "
            f"{_AT[rung.rung]} in {rung.dtype}. The frameworks, which add up in different orders, differ there "
            f"by {power(rung.difference)}{where}."
        ]
    return [
        f"Rounding does not explain it: {_AT[rung.rung]} they differ by {power(rung.difference)} in "
        f"{rung.dtype}{where}, while one unit in the last place of each initial weight comes to "
        f"{power(rung.rounding)}. A formula or a constant differs."
    ]


def _where(rung: RungRecord) -> str:
    """Say where a rung is missed: the first layer to part; after steps, which move all, where they differ most."""
    if rung.rung == "gradients" and rung.parted:
        return f", first, from the output back, in {rung.parted}"
    if rung.rung in ("weights", "outputs") and rung.parted:
        return f", first in {rung.parted}"
    layer, _, array = rung.array.partition("/")
    outputs = "the outputs" if array == "output" else f"the outputs of {array}"
    return f", most in {outputs if layer == 'outputs' else rung.array}"


def _growth(rungs: Sequence[RungRecord]) -> list[str]:
    """Say how rounding grows with the layers and with the steps, where it does."""
    found = []
    outputs = next(rung for rung in rungs if rung.rung == "outputs" and rung.dtype == "float32")
    known = [(layer.layer, layer.difference) for layer in outputs.layers if layer.difference]
    if known and known[-1][1] / known[0][1] >= _STEEP:
        found.append(
            f"In float32 rounding grows with depth: from {power(known[0][1])} in {known[0][0]} "
            f"to {power(known[-1][1])} in {known[-1][0]}."
        )
    wide, narrow = (
        next(rung for rung in rungs if rung.rung == "ten_steps" and rung.dtype == dtype) for dtype in DTYPES
    )
    if wide.rounding is None or narrow.rounding is None:
        return found
    growth, growth_32 = wide.rounding / UNITS["float64"], narrow.rounding / UNITS["float32"]
    if growth >= _CHAOTIC:
        found.append(
            f"The training is chaotic: ten steps make one unit in the last place {power(growth)} times as large, so "
            "that no two programs stay together for long."
        )
    elif not narrow.reached and growth_32 >= _JUMP * growth:
        found.append(
            f"In float32 ten steps make that unit {power(growth_32)} times as large, in float64 only {power(growth)}: "
            "float32’s carries sums over the kink of an activation function (relu, selu), where the slope jumps."
        )
    return found
