"""The cases, and what a diagnosis says: records that stand in ``diagnosis.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from tandem.diagnosis.trends import Trend
from tandem.records import Number, Record

Case = Literal[
    "divergence",
    "exploding gradients",
    "vanishing gradients",
    "dead units",
    "rising losses",
    "data set at fault",
    "overfitting",
    "still learning",
    "bottleneck",
    "converged",
    "underfitting",
    "unstable",
    "too few epochs",
]
TITLES: Mapping[Case, str] = {
    "divergence": "Divergence",
    "exploding gradients": "Exploding gradients",
    "vanishing gradients": "Vanishing gradients",
    "dead units": "Dead units",
    "rising losses": "Rising losses",
    "data set at fault": "The data set is at fault",
    "overfitting": "Overfitting",
    "still learning": "Still learning",
    "bottleneck": "Bottleneck",
    "converged": "Converged",
    "underfitting": "Underfitting",
    "unstable": "Unstable training",
    "too few epochs": "Too few epochs to judge",
}


class Baseline(Record):
    """What the best constant prediction scores: class shares, the mean or the median of the training targets.

    ``loss`` is None where the recorded loss is a sum over several outputs; then ``metric`` is judged.
    """

    loss: Number
    metric: str  # the one that training records: "accuracy" or "mae"
    value: float  # of the metric
    words: str  # what the constant prediction is


class Diagnosis(Record):
    """One case that holds for a replicate."""

    case: Case
    title: str
    sentences: tuple[str, ...]  # with the numbers the case rests on
    advice: tuple[str, ...]  # what to try next; may be empty where nothing is wrong


def make_diagnosis(case: Case, *sentences: str, advice: Sequence[str], title: str = "") -> Diagnosis:
    """Return a diagnosis under the case's own title unless another is given; empty sentences are dropped."""
    kept = tuple(sentence for sentence in sentences if sentence)
    return Diagnosis(case=case, title=title or TITLES[case], sentences=kept, advice=tuple(advice))


class ReplicateDiagnosis(Record):
    """All that one replicate's curves say, most important first."""

    replicate: int
    fold: int | None  # from 0; None with a single validation part
    seed: int
    train: Trend | None  # None with too few epochs, or after a divergence
    valid: Trend | None  # also None without validation rows
    learned: Number  # share of the baseline's loss removed on validation rows (training rows, if there are none)
    diagnoses: tuple[Diagnosis, ...]

    @property
    def words(self) -> str:
        """The training as people name it: "replicate 2", "replicate 0 on fold 3"."""
        return f"replicate {self.replicate}" + ("" if self.fold is None else f" on fold {self.fold + 1}")


class Finding(Record):
    """A case that holds in some trainings of a run, with the numbers of the first of them.

    A training is a replicate, or a replicate on one fold.
    """

    case: Case
    title: str
    trainings: tuple[str, ...]  # in which it holds, as people name them
    of: int  # trainings of the run
    sentences: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def by_majority(self) -> bool:
        """Whether the case holds in more than half of the trainings."""
        return 2 * len(self.trainings) > self.of


class RunDiagnosis(Record):
    """The findings over a run's trainings: the most frequent main case first, then by how many have them."""

    framework: str
    findings: tuple[Finding, ...]
    replicates: tuple[ReplicateDiagnosis, ...]  # one a training

    @property
    def main(self) -> Finding:
        """The case that comes first in most trainings."""
        return self.findings[0]


class DiagnosisRecord(Record):
    """``comparison/<experiment>/diagnosis.json``: every framework's run, and whether they agree."""

    baseline: Baseline
    runs: dict[str, RunDiagnosis]
    agreement: str  # a sentence; empty with one framework
