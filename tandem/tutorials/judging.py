"""Whether ours is what the tutorials state: verdicts as typed records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Literal

from tandem.records import Interval, Number
from tandem.statistics import seed_interval
from tandem.tutorials.claims import Claim, Contrast
from tandem.tutorials.results import Result, Results
from tandem.tutorials.systems import Check, System

ALPHA = 0.05
ENOUGH_SEEDS = 5  # with fewer, not even a unanimous vote reaches ALPHA

Standing = Literal["holds", "does not hold", "too few seeds", "not shown"]


@dataclass(frozen=True)
class Reading:
    """A number of one framework.

    Attributes:
        values: one a training.
        middle: their median, for counts their mean; None if half of the trainings or more have no value.
        interval: of the mean over those that have a value (Student's t); of a single training's metric on the test
            rows, over these (bootstrap); else None.
        inside: the middle is within the bounds; None: there are no bounds.
    """

    values: tuple[Number, ...]
    middle: Number
    interval: Interval | None
    inside: bool | None

    @property
    def trainings(self) -> int:
        """How many there are."""
        return len(self.values)

    @property
    def lost(self) -> int:
        """Those without a value."""
        return sum(not _is_known(value) for value in self.values)


@dataclass(frozen=True)
class CheckVerdict:
    """One number of a system: its readings by framework; a framework that did not run it is left out."""

    check: Check
    readings: dict[str, Reading]

    @property
    def outside(self) -> tuple[str, ...]:
        """The frameworks whose number is out of bounds."""
        return tuple(name for name, reading in self.readings.items() if reading.inside is False)

    @property
    def bounded(self) -> bool:
        """Whether there are a reading and bounds for it."""
        return any(reading.inside is not None for reading in self.readings.values())


@dataclass(frozen=True)
class SystemVerdict:
    """One system with all its numbers."""

    system: System
    checks: tuple[CheckVerdict, ...]
    stale: tuple[str, ...]  # frameworks whose results are of another declaration

    @property
    def frameworks(self) -> tuple[str, ...]:
        """Those with results."""
        return tuple(self.checks[0].readings)


@dataclass(frozen=True)
class Vote:
    """A contrast in one framework, seed against seed.

    Attributes:
        better, worse: medians over the seeds that have a value.
        wins, losses: seeds in which the better one is better, and worse; a training without a value is worse than
            any with one. Ties are left out.
        seeds: pairs.
        p: of the one-sided sign test in favour of the claim.
        difference: better less worse, mean over the pairs with two values; None with fewer than two of them.
    """

    better: Number
    worse: Number
    wins: int
    losses: int
    seeds: int
    p: float
    difference: Interval | None

    @property
    def standing(self) -> Standing:
        """What the seeds say of the claim."""
        if self.p < ALPHA:
            return "holds"
        if sign_test(self.losses, self.wins) < ALPHA:
            return "does not hold"
        return "too few seeds" if self.seeds < ENOUGH_SEEDS else "not shown"


@dataclass(frozen=True)
class ContrastVerdict:
    """A contrast in each framework that ran both experiments."""

    contrast: Contrast
    votes: dict[str, Vote]

    @property
    def standings(self) -> tuple[Standing, ...]:
        """What the seeds say, framework by framework."""
        return tuple(found.standing for found in self.votes.values())


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim, with what each of its contrasts gave."""

    claim: Claim
    contrasts: tuple[ContrastVerdict, ...]


def judge_system(system: System, results: Results) -> SystemVerdict:
    """Hold a system's numbers against what the tutorials state."""
    found = {framework: result for (name, framework), result in results.items() if name == system.experiment}
    checks = tuple(
        CheckVerdict(check, {framework: _read(check, result, results) for framework, result in found.items()})
        for check in system.checks
    )
    return SystemVerdict(system, checks, tuple(name for name, result in found.items() if not result.current))


def _read(check: Check, result: Result, results: Results) -> Reading:
    values = check.measure.read(result, results)
    known = _known(values)
    counted = [value if _is_known(value) else check.lost for value in values]
    sure = _known(counted)
    # A missing value lies beyond every bound: the median is out if half of the trainings have none.
    middle = None
    if 2 * len(sure) > len(values):
        middle = mean(sure) if check.measure.counts else median(sure)
    return Reading(
        values=values,
        middle=middle,
        interval=_interval(check, result, known),
        inside=_inside(check, middle),
    )


def _interval(check: Check, result: Result, values: Sequence[float]) -> Interval | None:
    """Return the interval of the mean; trainings on folds share rows, which widens it. Of one training: over rows."""
    if len(values) == 1 == len(result.run.replicates):
        return next((one.samples for one in result.evaluation.estimates if one.metric == check.measure.estimate), None)
    folds = result.evaluation.folds
    interval = seed_interval(values, check.measure.bounds, overlap=folds.overlap if folds else 0.0)
    return interval.model_copy(update={"over": "folds"}) if interval is not None and folds else interval


def _is_known(value: Number) -> bool:
    return value is not None and math.isfinite(value)


def _known(values: Sequence[Number]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _inside(check: Check, value: Number) -> bool | None:
    if check.at_least is None and check.at_most is None:
        return None
    if value is None:
        return False
    return (check.at_least is None or value >= check.at_least) and (check.at_most is None or value <= check.at_most)


def judge_claim(claim: Claim, results: Results) -> ClaimVerdict:
    """Put a claim's contrasts to the vote of the seeds."""
    return ClaimVerdict(claim, tuple(_judge_contrast(contrast, results) for contrast in claim.contrasts))


def _judge_contrast(contrast: Contrast, results: Results) -> ContrastVerdict:
    frameworks = [framework for name, framework in results if name == contrast.better]
    votes = {}
    for framework in frameworks:
        better, worse = results[contrast.better, framework], results.get((contrast.worse, framework))
        if worse is not None:
            sides = (contrast.measure.read(better, results), contrast.measure.read(worse, results))
            votes[framework] = vote(*sides, higher=contrast.higher)
    return ContrastVerdict(contrast, votes)


def vote(better: Sequence[Number], worse: Sequence[Number], *, higher: bool) -> Vote:
    """Let each seed vote; seeds are paired in their order, and one that a side lacks is left out."""
    pairs = list(zip(better, worse, strict=False))
    ordered = [(_rank(b, higher), _rank(w, higher)) for b, w in pairs]
    wins, losses = sum(b > w for b, w in ordered), sum(b < w for b, w in ordered)
    finite = [(b, w) for b, w in pairs if b is not None and w is not None and math.isfinite(b) and math.isfinite(w)]
    return Vote(
        better=_median([b for b, _ in pairs]),
        worse=_median([w for _, w in pairs]),
        wins=wins,
        losses=losses,
        seeds=len(pairs),
        p=sign_test(wins, losses),
        difference=seed_interval([b - w for b, w in finite]),
    )


def _rank(value: Number, higher: bool) -> float:
    """Return the value so that more is better; a missing one is worst."""
    if value is None or not math.isfinite(value):
        return -math.inf
    return value if higher else -value


def _median(values: Sequence[Number]) -> Number:
    known = _known(values)
    return median(known) if known else None


def sign_test(wins: int, losses: int) -> float:
    """Return the chance of at least so many wins if both sides were equally good; 1 without any vote."""
    votes = wins + losses
    return sum(math.comb(votes, count) for count in range(wins, votes + 1)) / 2**votes if votes else 1.0
