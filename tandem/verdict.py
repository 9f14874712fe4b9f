"""What a comparison comes to, in sentences: the verdict, what cannot be concluded, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from tandem import titles
from tandem.correction import ALPHA
from tandem.records import EquivalenceTest, Interval, MetricDifference, Number, Significance
from tandem.rounding import is_rounding
from tandem.titles import format_p, listing, margin_words

ENOUGH_REPLICATES = 5  # with fewer, nothing is concluded from the spread over seeds


_SUPERSCRIPTS = str.maketrans("−0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
Kind = Literal["identical", "rounding", "no difference", "equivalent", "other"]


@dataclass(frozen=True)
class Standing:
    """One framework's result in the main metric.

    Attributes:
        estimate: over the replicates that finished.
        replicates: trained.
        diverged: of them.
    """

    estimate: Interval
    replicates: int
    diverged: int


@dataclass(frozen=True)
class _Claim:
    """What is said of a pair of frameworks.

    Attributes:
        kind: pairs of one kind can be told together.
        text: of two frameworks, before the numbers.
        after: of two frameworks, after the numbers.
        brief: of one pair among several.
    """

    kind: Kind
    text: str
    after: str = ""
    brief: str = ""


def verdict(main: str, standings: Mapping[str, Standing], differences: Sequence[MetricDifference]) -> str:
    """Say in a sentence how the frameworks compare by the main metric.

    Args:
        main: the metric.
        standings: by framework.
        differences: of the main metric, one a pair; a pair without a replicate that finished in both has none.
    """
    title = titles.METRICS[main]
    diverged = [name for name, standing in standings.items() if standing.diverged]
    if len(standings) == 2 and differences:
        parts = [_verdict_of_two(title, standings, differences[0], any_diverged=bool(diverged))]
    elif differences:
        parts = _verdict_of_several(title, standings, differences)
    else:
        parts = [
            f"{titles.FRAMEWORKS[name]} reaches {title} {_over_samples(standing.estimate)} on the test rows"
            for name, standing in standings.items()
            if standing.estimate.value is not None
        ]
    parts += [
        f"{titles.FRAMEWORKS[name]} diverged in {standings[name].diverged} of {standings[name].replicates} replicates"
        for name in diverged
    ]
    return "; ".join(parts) + "."


def _verdict_of_two(
    title: str, standings: Mapping[str, Standing], found: MetricDifference, *, any_diverged: bool
) -> str:
    claim = _claim(found)
    if claim.kind in ("identical", "rounding"):
        return f"{claim.text}: {title} {_over_samples(standings[found.first].estimate)} in both"
    over = " over the replicates that finished in both" if any_diverged else ""
    first, second = _names(found)
    return (
        f"{claim.text}: {title} {_format(found.values[0])} in {first} and {_format(found.values[1])} in {second}"
        f"{over}, difference {_over_samples(found.samples)}{claim.after}"
    )


def _verdict_of_several(
    title: str, standings: Mapping[str, Standing], differences: Sequence[MetricDifference]
) -> list[str]:
    """Say one thing of all pairs where one holds for all, otherwise one after another; the values once."""
    claims = [_claim(found) for found in differences]
    values = listing(
        [
            f"{_format(standing.estimate.value)} in {titles.FRAMEWORKS[name]}"
            for name, standing in standings.items()
            if standing.estimate.value is not None
        ]
    )
    kinds: set[Kind] = {claim.kind for claim in claims}
    complete = len(claims) == len(standings) * (len(standings) - 1) // 2
    together = _of_all(standings, differences, kinds) if complete else ""
    if together and kinds <= {"identical", "rounding"}:
        return [f"{together}: {title} {_over_samples(next(iter(standings.values())).estimate)} in each"]
    few = min(differences, key=lambda found: len(found.each))
    if together:
        return [f"{together}: {title} {values} on {few.samples.n:,} test samples"]
    rest = [] if len(few.each) >= ENOUGH_REPLICATES else [f"{_count(few)} cannot tell whether the frameworks differ"]
    or_more = " or more" if any(len(found.each) > len(few.each) for found in differences) else ""
    return [
        f"Over {_units(few)}{or_more} and {few.samples.n:,} test samples {title} is {values}",
        *(claim.brief for claim in claims),
        *rest,
    ]


def _of_all(standings: Mapping[str, Standing], differences: Sequence[MetricDifference], kinds: set[Kind]) -> str:
    """Say what holds for every pair, or nothing."""
    names = listing([titles.FRAMEWORKS[name] for name in standings])
    if kinds == {"identical"}:
        return f"{names} do equally well on every test row"
    if kinds <= {"identical", "rounding"}:
        return f"{names} agree to rounding"
    if kinds == {"no difference"}:
        return f"No difference can be told between {names} on these test rows"
    tests = [found.equivalence for found in differences if found.equivalence is not None]
    if kinds <= {"identical", "rounding", "equivalent"} and len(tests) == len(differences):
        largest = max(tests, key=lambda test: test.test.adjusted)
        few = min(differences, key=lambda found: len(found.each))
        return (
            f"{names} are equivalent within {margin_words(largest.margin)} on these test rows "
            f"(largest {_tost(largest)}, n = {_units(few)})"
        )
    return ""


def _claim(found: MetricDifference) -> _Claim:
    """Claim of a pair what holds over the test samples and, with enough replicates, over the seeds."""
    first, second = _names(found)
    if found.samples.low == found.samples.high == 0:
        text = f"{first} and {second} do equally well on every test row"
        return _Claim("identical", text, brief=text)
    if is_rounding(found.samples, found.rounding):
        text = f"{first} and {second} agree to rounding"
        return _Claim("rounding", text, brief=text)
    if len(found.each) < ENOUGH_REPLICATES:
        return _claim_of_few(found)
    return _claim_over_seeds(found)


def _claim_of_few(found: MetricDifference) -> _Claim:
    first, second = _names(found)
    if not _excludes_zero(found.samples):
        text = f"o difference can be told between {first} and {second} on these test rows"
        return _Claim("no difference", f"N{text}", brief=f"n{text}")
    better, worse = _ranked(found)
    after = f"; {_count(found)} cannot tell whether the frameworks differ"
    if len(found.each) == 1:
        text = f"The one {better} network does better than the one {worse} network on these test rows"
    else:
        text = f"These {better} networks do better than these {worse} networks on the test rows"
    return _Claim("other", text, after, f"{text[0].lower()}{text[1:]}")


def _count(found: MetricDifference) -> str:
    return "a single seed" if len(found.each) == 1 else f"{len(found.each)} {_varied(found)}"


def _claim_over_seeds(found: MetricDifference) -> _Claim:
    first, second = _names(found)
    better, worse = _ranked(found)
    test, seeds = found.equivalence, found.seeds
    if test is None or seeds is None or found.seeds_test is None:  # a value is not finite
        return _claim_of_few(found)
    margin, figures = margin_words(test.margin), f"{_tost(test)}, n = {_units(found)}"
    by_rows, by_seeds = _excludes_zero(found.samples), found.seeds_test.adjusted < ALPHA
    ends = f"; over {seeds.n} {seeds.over} {_ends(seeds)}"
    is_open = f"; equivalence within {margin} is not shown ({figures})"
    if by_rows and by_seeds:
        return _Claim(
            "other",
            f"{better} does better than {worse} on these test rows, and over {seeds.over}"
            + (f", but by less than {margin} ({figures})" if test.shown else ""),
            ends,
            f"{better} does better than {worse}{f', by less than {margin}' if test.shown else ''}",
        )
    if test.shown:
        text = f"{first} and {second} are equivalent within {margin}"
        return _Claim("equivalent", f"{text} on these test rows ({figures})", brief=text)
    if by_seeds:
        text = f"{better} does better than {worse} over {seeds.over}, but by no more than other test rows could reverse"
        return _Claim("other", text, ends + is_open, text)
    if by_rows:
        rest = f"but over {seeds.over} no difference can be told between the frameworks"
        return _Claim(
            "other",
            f"These {better} networks do better than these {worse} networks on the test rows, {rest}",
            ends + is_open,
            f"these {better} networks do better than these {worse} networks, {rest}",
        )
    return _Claim(
        "other",
        f"No difference can be told between {first} and {second} on these test rows",
        is_open,
        f"between {first} and {second} no difference can be told, nor equivalence within {margin} shown",
    )


def cautions(standings: Mapping[str, Standing], differences: Sequence[MetricDifference]) -> tuple[str, ...]:
    """Say what cannot be concluded from so few replicates, and which replicates a comparison leaves out."""
    if len(standings) < 2:
        return ()
    said = []
    for found in differences:
        first, second = _names(found)
        trained = max(standings[found.first].replicates, standings[found.second].replicates)
        if len(found.each) < trained:
            lost = listing(
                [
                    f"{titles.FRAMEWORKS[name]} in {standings[name].diverged}"
                    for name in (found.first, found.second)
                    if standings[name].diverged
                ]
            )
            said.append(
                f"{first} and {second} are compared over the {len(found.each)} of {trained} replicates that finished "
                f"in both; diverged: {lost}. How often each diverges is no part of the difference."
            )
    few = [found for found in differences if len(found.each) < ENOUGH_REPLICATES]
    unequal = sorted({len(found.each) for found in few if not _are_equal(found)})
    if few and not unequal:
        count = max(len(found.each) for found in few)
        each = "the one replicate" if count == 1 else f"each of {count} replicates"
        said.append(f"The frameworks agree to rounding in {each}; other seeds were not tried.")
    return (*said, *(_too_few(count) for count in unequal))


def _are_equal(found: MetricDifference) -> bool:
    """Return whether two frameworks agree to rounding in every replicate."""
    reach = found.rounding
    return (
        reach is not None
        and is_rounding(found.samples, reach)
        and all(difference is not None and abs(difference) <= reach for difference in found.each.values())
    )


def _too_few(count: int) -> str:
    if count == 1:
        return (
            "One replicate: it says how these networks compare on the test rows, and nothing of other seeds. There is "
            "no standard deviation, no interval over seeds and no test of equivalence; declare at least "
            f"{ENOUGH_REPLICATES} replicates for those."
        )
    wider = _half_width(count) / _half_width(10)
    return (
        f"{count} replicates: an interval over seeds rests on {count - 1} degree{'s' * (count > 2)} of freedom, and is "
        f"{wider:.2g} times as wide as one of 10 replicates with the same spread. Whether the frameworks differ over "
        "seeds, or are equivalent, cannot be concluded: that the differences are normally distributed, on which both "
        f"tests rest, cannot be seen from {count}. The p-values below stand for completeness; declare at least "
        f"{ENOUGH_REPLICATES} replicates."
    )


def _half_width(count: int) -> float:
    """Return half the width of Student's t interval for a standard deviation of 1."""
    return float(stdtrit(count - 1, 1 - ALPHA / 2) / np.sqrt(count))


def findings(differences: Sequence[MetricDifference]) -> tuple[str, ...]:
    """Say of each pair with enough replicates whether it is shown to be equivalent, or why not.

    Pairs that agree to rounding have nothing to be said.
    """
    return tuple(
        _finding(found, found.equivalence)
        for found in differences
        if found.equivalence is not None
        and len(found.each) >= ENOUGH_REPLICATES
        and not is_rounding(found.samples, found.rounding)
    )


def _finding(found: MetricDifference, test: EquivalenceTest) -> str:
    first, second = _names(found)
    within = f"within {margin_words(test.margin)}"
    if test.margin.relative:
        within += f" (±{test.reach:.3g})"
    between = (
        f"the 90\N{NO-BREAK SPACE}% interval of the mean difference over {_varied(found)}, {_ends(test.interval)},"
    )
    rest = f"{_tost(test)}, n = {_units(found)}"
    if test.shown:
        return f"{first} and {second} are equivalent {within}: {between} lies inside the margin; {rest}."
    return f"{first} and {second} are not shown to be equivalent {within}: {_why_not(found, test, between)}; {rest}."


def _why_not(found: MetricDifference, test: EquivalenceTest, between: str) -> str:
    mean = found.seeds.value if found.seeds is not None else None
    if mean is None or test.interval.low is None or test.interval.high is None:
        raise AssertionError("a test of equivalence has its interval")
    if test.interval.low > test.reach or test.interval.high < -test.reach:
        return f"the difference is larger than the margin; {between} lies outside it"
    if abs(mean) >= test.reach:
        return (
            f"the mean difference, {_format(mean)}, is itself no smaller than the margin; more replicates would "
            "show equivalence only if it came out smaller"
        )
    if test.test.p < ALPHA:
        return (
            f"by itself it would be, but it is one of {test.test.comparisons} comparisons on this page, and corrected "
            "for their number the p-value is too large"
        )
    spread = (
        f"the mean difference, {_format(mean)}, lies inside the margin, but its spread over {_varied(found)} is too "
        f"large (standard deviation {_format(found.deviation)}); {between} reaches beyond the margin"
    )
    if test.needed is None:
        return f"{spread}, and no affordable number of replicates would change that"
    return (
        f"{spread}. If mean and spread are as measured, {_units(found, test.needed)} would show equivalence "
        "with a chance of 80\N{NO-BREAK SPACE}%"
    )


def _tost(test: EquivalenceTest) -> str:
    return f"{'corrected ' if _is_corrected(test.test) else ''}TOST p {format_p(test.test.adjusted)}"


def _is_corrected(test: Significance) -> bool:
    """Return whether correction changed a p-value so that it shows."""
    return format_p(test.adjusted) != format_p(test.p)


def _varied(found: MetricDifference) -> str:
    return "folds" if found.overlap else "seeds"


def _units(found: MetricDifference, count: int | None = None) -> str:
    """Return what a comparison rests on, or ``count`` of its kind."""
    count = len(found.each) if count is None else count
    plural = "s" * (count != 1)
    return f"{count:,} training{plural} on folds" if found.overlap else f"{count:,} replicate{plural}"


def _names(found: MetricDifference) -> tuple[str, str]:
    return titles.FRAMEWORKS[found.first], titles.FRAMEWORKS[found.second]


def _ranked(found: MetricDifference) -> tuple[str, str]:
    """Return the names of the framework that does better and of the other."""
    first, second = _names(found)
    higher = (found.samples.value or 0) > 0
    return (second, first) if higher == found.higher_is_better else (first, second)


def _excludes_zero(interval: Interval) -> bool:
    return interval.low is not None and interval.high is not None and not interval.low <= 0 <= interval.high


def _format(value: Number) -> str:
    if value is None:
        return "none"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    mantissa, _, exponent = text.replace("-", "−").partition("e")
    if not exponent:
        return mantissa
    power = exponent.replace("−0", "−").translate(_SUPERSCRIPTS)
    return f"{mantissa}\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10{power}"


def _ends(interval: Interval) -> str:
    return f"{_format(interval.low)} to {_format(interval.high)}"


def _over_samples(interval: Interval) -> str:
    percent = f"{100 * interval.level:g}\N{NO-BREAK SPACE}%"
    return f"{_format(interval.value)} ({percent} interval over {interval.n:,} test samples: {_ends(interval)})"
