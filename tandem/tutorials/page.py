"""The verdicts as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tandem.records import Number
from tandem.report.formats import format_count, format_number, framework_title
from tandem.titles import listing
from tandem.tutorials.claims import CLAIMS, Contrast
from tandem.tutorials.judging import (
    CheckVerdict,
    ClaimVerdict,
    Reading,
    Standing,
    SystemVerdict,
    Vote,
    judge_claim,
    judge_system,
)
from tandem.tutorials.results import Results
from tandem.tutorials.systems import GROUPS, Check, Group

_INTRODUCTION = """\
# The tutorials' systems and claims

Written by `tandem tutorials` from the results that lie in the workspace; do not edit it by hand.
`tandem suite tutorials && tandem run` makes all of them, `tandem suite NAME` a part: the suites' names stand with the
headings. Links lead into the reports of that run.

A number of ours is the median over the trainings, which differ in their seed; in brackets the 95 % interval of the mean
over seeds (Student's t) and how many there are. With one training there is no such interval; a metric on the test rows
then has the one over these (bootstrap). A number is within its bounds if the median is: accuracy at most 0.015 below
the tutorial's, an error at most 5 % above; "measured" is what plain framework code gave where a tutorial prints no
number."""
_CLAIMS_INTRODUCTION = """\
Each claim is put to the vote of the seeds: how often the first experiment beats the second one that was trained from
the same seed. It holds in a framework if a one-sided sign test says so at 5 %, which takes at least five seeds; a
training that diverged loses. The difference is the first less the second, with its 95 % interval over seeds."""
_STANDINGS: dict[Standing, str] = {
    "holds": "holds",
    "does not hold": "does not hold",
    "too few seeds": "too few seeds to say",
    "not shown": "not shown",
}
_ORDER = ("keras", "torch", "numpy")
_TINY = 1e-6  # less than anything that is worth a digit


def tutorials_page(results: Results, note: str = "") -> str:
    """Return the page.

    Args:
        results: by experiment and framework; those that are missing are said to be.
        note: a paragraph on how the results were made.
    """
    systems = [(group, [judge_system(system, results) for system in group.systems]) for group in GROUPS]
    claims = [judge_claim(claim, results) for claim in CLAIMS]
    parts = [_INTRODUCTION, *([note] if note else []), *_facts(results), _summary(systems, claims)]
    parts += [_group(group, verdicts) for group, verdicts in systems]
    parts += ["## Claims", _CLAIMS_INTRODUCTION, _claims(claims), "### Comparisons", _comparisons(claims)]
    return "\n\n".join(parts) + "\n"


def _facts(results: Results) -> list[str]:
    """Say what the results were made with."""
    versions = {name: version for result in results.values() for name, version in result.run.versions.items()}
    platforms = sorted({result.run.platform for result in results.values()})
    if not results:
        return []
    return [f"Made with {', '.join(f'{name} {versions[name]}' for name in sorted(versions))} on {listing(platforms)}."]


def _summary(systems: Sequence[tuple[Group, Sequence[SystemVerdict]]], claims: Sequence[ClaimVerdict]) -> str:
    verdicts = [verdict for _, verdicts in systems for verdict in verdicts]
    run = [verdict for verdict in verdicts if verdict.frameworks]
    bounded = [check for verdict in run for check in verdict.checks if check.bounded]
    inside = [check for check in bounded if not check.outside]
    held = [claim for claim in claims if _claim_words(claim) == "holds"]
    missing = [claim for claim in claims if not any(contrast.votes for contrast in claim.contrasts)]
    return (
        f"**{len(run)} of {len(verdicts)} systems have results. Of their {len(bounded)} numbers with bounds "
        f"{len(inside)} are within them in every framework. Of {len(claims)} claims {len(held)} hold in every "
        f"framework and comparison{f', {len(missing)} were not run' if missing else ''}.**"
    )


# ------------------------------------------------------------------------------------------------- systems


def _group(group: Group, verdicts: Sequence[SystemVerdict]) -> str:
    found = {framework for verdict in verdicts for framework in verdict.frameworks}
    columns = [name for name in _ORDER if name in found or name != "numpy"]
    head = ["id", "system", "number", "tutorial", "asked", *map(framework_title, columns), "verdict"]
    lines = [_row(head), _row(["---"] * len(head))]
    lines += [_row(cells) for verdict in verdicts for cells in _cells(verdict, columns)]
    return f"## {group.title}\n\n`tandem suite {group.suite}`\n\n" + "\n".join(lines)


def _cells(verdict: SystemVerdict, columns: Sequence[str]) -> Iterator[list[str]]:
    system = verdict.system
    for place, found in enumerate(verdict.checks):
        check = found.check
        yield [
            system.id,
            "" if place else f"{system.what}: `{system.experiment}`",
            _link(system.experiment, check) if found.readings else check.measure.name,
            check.stated.replace("-", "−") or "–",
            _bounds(check),
            *(_reading(check, found.readings.get(name)) for name in columns),
            _verdict_words(verdict, found),
        ]


def _link(experiment: str, check: Check) -> str:
    return f"[{check.measure.name}](../reports/{experiment}.html#{check.measure.section})"


def _bounds(check: Check) -> str:
    low, high = check.at_least, check.at_most
    if check.measure.counts:
        return "all" if low == 1 else "some"
    if low is not None and high is not None and low != 0:
        middle, reach = (low + high) / 2, (high - low) / 2
        return _number(check, middle) + (f" ± {_plain(reach)}" if reach else "")
    if low is not None and high is None:
        return "more" if low < _TINY else f"≥ {_number(check, low)}"
    return f"≤ {_number(check, high)}" if high is not None else "–"


def _plain(value: float) -> str:
    """Return two significant digits, never with an exponent."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _reading(check: Check, reading: Reading | None) -> str:
    if reading is None:
        return "–"
    if check.measure.counts:
        return f"{sum(value or 0 for value in reading.values):.0f} of {reading.trainings} seeds"
    if reading.lost == reading.trainings:
        return "diverged" if reading.lost == 1 else f"all {reading.lost} diverged"
    more = []
    interval = reading.interval
    if interval is not None and interval.low is not None and interval.high is not None:
        if interval.high - interval.low > _TINY:
            more.append(f"{_number(check, interval.low)} to {_number(check, interval.high)}")
        more.append(f"{reading.trainings if reading.trainings > 1 else format_count(interval.n)} {interval.over}")
    if reading.lost:
        more.append(f"{reading.lost} diverged")
    return _number(check, reading.middle) + (f" ({'; '.join(more)})" if more else "")


def _number(check: Check, value: Number) -> str:
    digits = check.measure.digits
    if value is None or digits is None:
        return format_number(value)
    return f"{value:,.{digits}f}".replace("-", "−")


def _verdict_words(verdict: SystemVerdict, check: CheckVerdict) -> str:
    if not check.readings:
        return "not run"
    if verdict.stale:
        return f"declared otherwise since; run again ({listing([framework_title(name) for name in verdict.stale])})"
    if check.outside:
        return f"**outside** in {listing([framework_title(name) for name in check.outside])}"
    return "within" if check.bounded else "shown"


# -------------------------------------------------------------------------------------------------- claims


def _claims(claims: Sequence[ClaimVerdict]) -> str:
    lines = [_row(["claim", "systems", "verdict"]), _row(["---"] * 3)]
    lines += [_row([claim.claim.text, claim.claim.ids or "–", f"**{_claim_words(claim)}**"]) for claim in claims]
    return "\n".join(lines)


def _comparisons(claims: Sequence[ClaimVerdict]) -> str:
    found = {framework for claim in claims for contrast in claim.contrasts for framework in contrast.votes}
    columns = [name for name in _ORDER if name in found or name != "numpy"]
    head = ["claim", "first", "second", "number, asked of the first", *map(framework_title, columns)]
    lines = [_row(head), _row(["---"] * len(head))]
    for claim in claims:
        for place, verdict in enumerate(claim.contrasts):
            contrast = verdict.contrast
            lines.append(
                _row(
                    [
                        "" if place else claim.claim.text,
                        f"`{contrast.better}`",
                        f"`{contrast.worse}`",
                        f"{contrast.measure.name}, {'higher' if contrast.higher else 'lower'}",
                        *(_vote(verdict.votes.get(name), contrast) for name in columns),
                    ]
                )
            )
    return "\n".join(lines)


def _claim_words(claim: ClaimVerdict) -> str:
    """Return the verdict in words: one for all comparisons and frameworks if they agree, else how many do."""
    standings = [standing for contrast in claim.contrasts for standing in contrast.standings]
    missing = sum(not contrast.votes for contrast in claim.contrasts)
    if not standings:
        return "not run"
    if len(set(standings)) == 1 and not missing:
        return _STANDINGS[standings[0]]
    counts = [f"{_STANDINGS[standing]} in {standings.count(standing)}" for standing in dict.fromkeys(standings)]
    rest = f"; {missing} not run" if missing else ""
    return f"{', '.join(counts)} of {len(standings)} comparisons{rest}"


def _vote(found: Vote | None, contrast: Contrast) -> str:
    if found is None:
        return "not run"
    seeds = f"{found.wins} of {found.seeds} seeds, {_STANDINGS[found.standing]}"
    if contrast.measure.counts:
        return seeds
    medians = f"{format_number(found.better)} against {format_number(found.worse)}"
    gap = found.difference
    if gap is None:
        return f"{medians}; {seeds}"
    return f"{medians} ({_signed(gap.value)}, {_signed(gap.low)} to {_signed(gap.high)}); {seeds}"


def _signed(value: Number) -> str:
    text = format_number(value, 3)
    return f"+{text}" if value is not None and value > 0 else text


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
