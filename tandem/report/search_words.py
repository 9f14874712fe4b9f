"""What the section on a search says in sentences: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tandem.records import Interval
from tandem.report.formats import format_interval, format_number, framework_title, metric_title
from tandem.report.search import FrameworkSearch, RegionRow, SearchSection
from tandem.report.search_axes import write_setting
from tandem.searches.importance import FEW_TRIALS
from tandem.searches.ranking import FEWEST_SHARED, Agreement, Standing
from tandem.searches.values import value_key
from tandem.titles import format_p, listing


@dataclass(frozen=True)
class FrameworkWords:
    """What is said of one framework; "" where there is nothing to say."""

    framework: str
    winner: str
    runner_up: str
    optimism: str


@dataclass(frozen=True)
class SearchWords:
    """The section's sentences."""

    verdict: str
    each: tuple[FrameworkWords, ...]
    agreements: tuple[str, ...]
    importance: tuple[str, ...]
    regions: tuple[str, ...]


_BECAME = {"pruned": "{} pruned", "diverged": "diverged", "failed": "failed", "invalid": "cannot be built"}


def search_words(section: SearchSection) -> SearchWords:
    """Return all that the section says."""
    each = section.frameworks
    return SearchWords(
        verdict=search_verdict(section),
        each=tuple(
            FrameworkWords(
                framework=found.framework,
                winner=winner_sentence(section, found),
                runner_up=runner_up_sentence(section, found),
                optimism=optimism_sentence(found),
            )
            for found in each
        ),
        agreements=agreement_sentences(section),
        importance=_told(importance_sentence(section, found) for found in each),
        regions=tuple(region_sentence(row) for row in section.regions),
    )


def _told(sentences: Iterable[str]) -> tuple[str, ...]:
    return tuple(words for words in sentences if words)


def search_verdict(section: SearchSection) -> str:
    """Return the section's result in a sentence or two."""
    if len(section.frameworks) == 1:
        return winner_sentence(section, section.frameworks[0])
    chosen = [found for found in section.frameworks if found.ranking is not None]
    if not chosen:
        names = listing([framework_title(found.framework) for found in section.frameworks])
        return f"No setting finished in {names}: there is no winner."
    if len(chosen) == 1:
        return winner_sentence(section, chosen[0])
    return " ".join(_agreement_verdict(section, agreement) for agreement in section.agreements)


def _agreement_verdict(section: SearchSection, agreement: Agreement) -> str:
    first, second = framework_title(agreement.first), framework_title(agreement.second)
    winners = {found.framework: found for found in section.frameworks}
    if agreement.same_winner:
        start = f"{first} and {second} prefer the same setting: {_winner(section, winners[agreement.first])}"
        return f"{start}{_alike(section, winners[agreement.first], winners[agreement.second])}."
    told = _two_winners(section, winners[agreement.first], winners[agreement.second])
    standings = (agreement.first_in_second, agreement.second_in_first)
    if section.folds < 2:
        return f"{told}; with a single validation part nothing says whether that is more than noise."
    if any(standing.is_equal is False for standing in standings):
        return f"{told}; the folds tell these settings apart{_where(agreement)}."
    if all(standing.is_equal for standing in standings):
        return f"{told}, but the folds cannot tell the two settings apart: no preference is shown."
    if any(standing.is_equal for standing in standings):
        return f"{told}; where both settings were tried, the folds cannot tell them apart."
    return f"{told}; neither framework finished the other’s setting, so that nothing compares the two."


def _alike(section: SearchSection, *found: FrameworkSearch) -> str:
    """Say how many settings cannot be told from a winner that two frameworks share; empty where it stands out."""
    if section.folds < 2:
        return "; with a single validation part nothing says how far that is noise"
    counts = [0 if each.ranking is None else len(each.ranking.equals) for each in found]
    if not any(counts):
        return ""
    told = [
        f"{count} other{'s' * (count != 1)} in {framework_title(f.framework)}"
        for f, count in zip(found, counts, strict=True)
    ]
    return f"; the folds cannot tell it from {told[0]} and {told[1]}"


def _two_winners(section: SearchSection, *found: FrameworkSearch) -> str:
    """Return what two different winners are: where they differ, and what they share."""
    settings = [{} if each.ranking is None else each.ranking.winner.trial.parameters for each in found]
    shared = {
        name: value for name, value in settings[0].items() if name in settings[1] and _same(value, settings[1][name])
    }
    own = [
        write_setting({name: value for name, value in each.items() if name not in shared}, section.axes)
        for each in settings
    ]
    words = f"{framework_title(found[0].framework)} prefers {own[0]}, {framework_title(found[1].framework)} {own[1]}"
    return f"{words}, both with {write_setting(shared, section.axes)}" if shared else words


def _same(one: object, other: object) -> bool:
    return value_key(one) == value_key(other)


def _where(agreement: Agreement) -> str:
    names = [
        framework_title(name)
        for name, standing in (
            (agreement.second, agreement.first_in_second),
            (agreement.first, agreement.second_in_first),
        )
        if standing.is_equal is False
    ]
    return " in both" if len(names) == 2 else f" in {names[0]}"


def _winner(section: SearchSection, found: FrameworkSearch) -> str:
    return "" if found.ranking is None else write_setting(found.ranking.winner.trial.parameters, section.axes)


def winner_sentence(section: SearchSection, found: FrameworkSearch) -> str:
    """Say one framework's winner, and how much better it is than the others."""
    name, metric = framework_title(found.framework), metric_title(section.metric)
    if found.ranking is None:
        return f"{name}: none of the {_settings(len(found.record.trials))} tried finished ({_lost(found)})."
    ranking = found.ranking
    value = f"{metric} {format_number(ranking.winner.trial.value)}"
    between = "" if ranking.winner.interval is None else format_interval(ranking.winner.interval)[1]
    if between:
        value += f" ({between})"
    tried, finished = len(found.record.trials), found.counts["finished"]
    of = _settings(tried) if finished == tried else f"the {_settings(finished)} that finished, of {tried:,} tried,"
    start = f"{name}’s best of {of} is {_winner(section, found)}, with {value}"
    if not ranking.rivals:
        return f"{start}. It alone finished: there is nothing to compare it with."
    second = ranking.rivals[0].trial.value
    if ranking.folds < 2:
        gap = format_number(abs((second or 0.0) - (ranking.winner.trial.value or 0.0)), 3)
        noise = "with a single validation part nothing can be said about noise"
        return f"{start}. The runner-up is {gap} behind, but {noise}."
    others, equals = len(ranking.rivals), len(ranking.equals)
    if equals == others:
        none = "the other one" if others == 1 else f"any of the other {others}"
        return f"{start}. The folds cannot tell it from {none}: as far as they show, it is no better."
    if not equals:
        return f"{start}. It is better than {'the other one' if others == 1 else f'each of the other {others}'}."
    are = "one cannot" if equals == 1 else f"{equals} cannot"
    return f"{start}. Of the other {others}, {are} be told from it."


def _settings(count: int) -> str:
    return f"{count:,} setting{'s' * (count != 1)}"


def _lost(found: FrameworkSearch) -> str:
    words = {"pruned": "pruned", "diverged": "diverged", "failed": "failed", "invalid": "cannot be built"}
    return listing([f"{found.counts[state]} {word}" for state, word in words.items() if found.counts[state]])  # type: ignore[index]


def runner_up_sentence(section: SearchSection, found: FrameworkSearch) -> str:
    """Say how far the runner-up is behind; empty without one, or with a single fold."""
    if found.ranking is None or not found.ranking.rivals or found.ranking.folds < 2:
        return ""
    gap = found.ranking.rivals[0].difference
    if gap is None:
        return ""
    test = found.ranking.rivals[0].test
    p = "" if test is None else f", p {format_p(test.adjusted)} corrected for {test.comparisons} comparisons"
    return (
        f"{framework_title(found.framework)}’s runner-up differs from the winner by {_signed(gap)} in "
        f"{metric_title(section.metric)}{p}."
    )


def _signed(gap: Interval) -> str:
    value, between = format_interval(gap, signed=True)
    return f"{value} ({between})" if between else value


def optimism_sentence(found: FrameworkSearch) -> str:
    """Say that the best of many flatters, and by how much as far as folds tell; empty without a choice."""
    ranking = found.ranking
    if ranking is None or not ranking.rivals:
        return ""
    count, name = len(ranking.settings), framework_title(found.framework)
    value = format_number(ranking.winner.trial.value)
    start = f"{name}’s {value} is the best of {count} and flatters for that reason"
    held_out = ranking.held_out
    if held_out is None:
        return f"{start}."
    if held_out.again == ranking.folds:
        return f"Without any one of the folds the same setting wins: the choice among {count} hardly flatters {value}."
    times = f"{held_out.again} of the {ranking.folds}" if held_out.again else f"none of the {ranking.folds}"
    return (
        f"{start}: chosen on all folds but one and scored on that one, settings reach "
        f"{format_number(held_out.value)} on average; the same setting wins in {times} choices."
    )


def agreement_sentences(section: SearchSection) -> tuple[str, ...]:
    """Say, for each two frameworks, how alike they order the settings and where each one's winner stands."""
    return tuple(" ".join(_agreement_words(section, agreement)) for agreement in section.agreements)


def _agreement_words(section: SearchSection, agreement: Agreement) -> list[str]:
    first, second = framework_title(agreement.first), framework_title(agreement.second)
    words = [_correlation(agreement, first, second)]
    if not agreement.same_winner:
        words.append(_standing(first, second, agreement.first_in_second, section.folds))
        words.append(_standing(second, first, agreement.second_in_first, section.folds))
    return words


def _correlation(agreement: Agreement, first: str, second: str) -> str:
    shared = agreement.shared
    start = f"{first} and {second} both finished {_settings(shared)}" if shared else ""
    if not shared:
        return f"No setting finished in both {first} and {second}: their orders cannot be compared."
    if agreement.correlation is None:
        why = f"fewer than {FEWEST_SHARED}" if shared < FEWEST_SHARED else "all with the same value"
        return f"{start}, {why}: their orders cannot be compared."
    rho = agreement.correlation
    size = "nearly alike" if rho >= 0.9 else "alike on the whole" if rho >= 0.6 else "somewhat alike"
    size = size if rho >= 0.3 else "hardly alike" if rho > -0.3 else "in opposite ways"
    return f"{start} and order them {size} (Spearman’s rank correlation {format_number(rho, 2)})."


def _standing(owner: str, other: str, standing: Standing, folds: int) -> str:
    if standing.place is None:
        if standing.state is None:
            return f"{owner}’s winner was not tried in {other}."
        became = _BECAME[standing.state].format("was")
        return f"{owner}’s winner {became} in {other}."
    place = f"{owner}’s winner is number {standing.place} of {standing.settings} in {other}"
    if folds < 2 or standing.is_equal is None:
        return f"{place}."
    told = "and cannot be told from the winner there" if standing.is_equal else "and worse than the winner there"
    return f"{place}, {told}."


def importance_sentence(section: SearchSection, found: FrameworkSearch) -> str:
    """Say what lies in combinations of parameters, how rough the shares are, and on what some of them rest."""
    name, importance = framework_title(found.framework), found.importance
    known = importance.known
    reasons = dict.fromkeys(entry.reason for entry in importance.parameters if entry.reason)
    if not known:
        return f"{name}: no importance, since {'; '.join(reasons)}." if reasons else ""
    after = importance.after
    epochs = "" if after is None else f" after {after} epoch{'s' * (after != 1)}, since too few finished"
    words = f"{name}: {_percent(importance.together or 0.0)} of the variance of {importance.trials} settings"
    words += f"{epochs} lies in combinations of parameters"
    rough = "; with so few settings the shares are rough" if importance.trials < FEW_TRIALS else ""
    cut = ""
    if importance.cut:
        count = "counts" if importance.cut == 1 else "count"
        cut = f" {_settings(importance.cut)} far worse than the rest {count} as the worst of them."
    return f"{words}{rough}.{cut}{''.join(_left_out(section, found))}"


def _left_out(section: SearchSection, found: FrameworkSearch) -> list[str]:
    """Say why parameters have no importance, or on how many settings a conditional one's rests."""
    labels = {axis.name: axis.label for axis in section.axes}
    words = []
    for entry in found.importance.parameters:
        if entry.share is None:
            words.append(f" {labels[entry.parameter]}: {entry.reason}.")
        elif entry.trials < found.importance.trials:
            words.append(f" {labels[entry.parameter]}: among the {entry.trials} settings that have it.")
    return words


def region_sentence(row: RegionRow) -> str:
    """Say where settings ended badly: "learning_rate ≥ 0.02: 12 of 15 diverged, elsewhere 0 of 135"."""
    became = _BECAME[row.state].format("were")
    region = row.region
    return (
        f"{framework_title(row.framework)}, {row.rule}: {region.hits} of {region.inside} {became}, "
        f"elsewhere {region.outside_hits} of {region.outside}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
