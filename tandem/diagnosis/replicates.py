"""The diagnosis of one replicate, of a run of several, and whether the frameworks' runs agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tandem import titles
from tandem.diagnosis.cases import curve_case, overfitting, too_few_epochs, underfitting, unstable
from tandem.diagnosis.curves import Curves, finite_start
from tandem.diagnosis.failures import divergence, exploding_gradients, stuck_gradients
from tandem.diagnosis.records import (
    TITLES,
    Baseline,
    Case,
    Diagnosis,
    DiagnosisRecord,
    Finding,
    ReplicateDiagnosis,
    RunDiagnosis,
)
from tandem.diagnosis.thresholds import FLOOR
from tandem.diagnosis.trends import loss_trend
from tandem.records import History, ReplicateRecord


def diagnose_replicate(history: History, ended: ReplicateRecord, baseline: Baseline) -> ReplicateDiagnosis:
    """Name the cases that hold for one replicate, most important first; there is always at least one."""
    train = finite_start(history.columns.get("train_loss", ()))
    valid = finite_start(history.columns.get("valid_loss", ()))[: len(train)]
    floor = FLOOR * (baseline.loss or (train[0] if train else 0.0))
    diverged = ended.outcome == "diverged"
    curves = Curves(
        history=history,
        ended=ended,
        baseline=baseline,
        train=train,
        valid=valid,
        train_trend=None if diverged else loss_trend(history.epochs[: len(train)], train, floor),
        valid_trend=None if diverged else loss_trend(history.epochs[: len(valid)], valid, floor),
    )
    learned = None if diverged else curves.learned("valid" if valid else "train")
    return ReplicateDiagnosis(
        replicate=ended.replicate,
        fold=ended.fold,
        seed=ended.seed,
        train=curves.train_trend,
        valid=curves.valid_trend,
        learned=learned,
        diagnoses=tuple(_diagnoses(curves)),
    )


def _diagnoses(curves: Curves) -> list[Diagnosis]:
    failures = [divergence(curves), exploding_gradients(curves)]
    if curves.ended.outcome == "diverged":
        return [found for found in failures if found]
    stuck = stuck_gradients(curves)
    if stuck is not None:  # the reason why nothing is learned: flat curves and high losses follow from it
        return [found for found in (*failures, stuck) if found]
    named = too_few_epochs(curves) if curves.train_trend is None else curve_case(curves)
    besides = (overfitting(curves), underfitting(curves), unstable(curves))
    return [found for found in (*failures, named, *besides) if found and (found is named or found.case != named.case)]


def diagnose_run(
    framework: str, histories: Sequence[History], ended: Sequence[ReplicateRecord], baseline: Baseline
) -> RunDiagnosis:
    """Diagnose every replicate of a run, and count the cases.

    Args:
        framework: its name.
        histories: by training: a replicate, or a replicate on one fold.
        ended: by training.
        baseline: of the training rows.
    """
    each = tuple(
        diagnose_replicate(history, record, baseline) for history, record in zip(histories, ended, strict=True)
    )
    mains = Counter(found.diagnoses[0].case for found in each)
    order = list(TITLES)
    main = max(mains, key=lambda case: (mains[case], -order.index(case)))
    holders: dict[Case, list[int]] = {}
    for place, found in enumerate(each):
        for diagnosis in found.diagnoses:
            holders.setdefault(diagnosis.case, []).append(place)
    ranked = sorted(holders, key=lambda case: (case != main, -len(holders[case]), order.index(case)))
    return RunDiagnosis(
        framework=framework, findings=tuple(_finding(case, holders[case], each) for case in ranked), replicates=each
    )


def _finding(case: Case, holders: Sequence[int], each: Sequence[ReplicateDiagnosis]) -> Finding:
    first = next(found for found in each[holders[0]].diagnoses if found.case == case)
    return Finding(
        case=case,
        title=first.title,
        trainings=tuple(each[place].words for place in holders),
        of=len(each),
        sentences=first.sentences,
        advice=first.advice,
    )


def agreement(runs: Mapping[str, RunDiagnosis]) -> str:
    """Say whether the frameworks' runs have the same main case; empty with fewer than two."""
    if len(runs) < 2:
        return ""
    by_case: dict[Case, list[str]] = {}
    for framework, run in runs.items():
        by_case.setdefault(run.main.case, []).append(titles.FRAMEWORKS.get(framework, framework))
    words = {case: TITLES[case][0].lower() + TITLES[case][1:] for case in by_case}
    if len(by_case) == 1:
        ((case, names),) = by_case.items()
        return f"{titles.listing(names)} agree: {words[case]}."
    return f"The frameworks differ: {'; '.join(f'{titles.listing(by_case[case])}: {words[case]}' for case in by_case)}."


def case_words(diagnosis: DiagnosisRecord) -> str:
    """Return the main case in a word or two, or one a framework where they differ, for a table."""
    cases = {framework: TITLES[run.main.case].lower() for framework, run in diagnosis.runs.items()}
    if len(set(cases.values())) == 1:
        return next(iter(cases.values()))
    return "; ".join(f"{titles.FRAMEWORKS.get(name, name)}: {case}" for name, case in cases.items())


def diagnose(
    histories: Mapping[str, Sequence[History]], ended: Mapping[str, Sequence[ReplicateRecord]], baseline: Baseline
) -> DiagnosisRecord:
    """Diagnose the runs of all frameworks; both mappings are by framework, then by training."""
    runs = {name: diagnose_run(name, found, ended[name], baseline) for name, found in histories.items()}
    return DiagnosisRecord(baseline=baseline, runs=runs, agreement=agreement(runs))
