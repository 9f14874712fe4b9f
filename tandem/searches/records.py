"""What a search leaves behind: its trials, its space and how they were scored."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tandem.records import FoldRows, Number, Record

TrialState = Literal["finished", "pruned", "diverged", "failed", "invalid"]
# How a setting was trained: as one of many in a batch of matrices, or by itself.
Way = Literal["batched", "alone"]


class FoldScore(Record):
    """What one setting reached on one fold.

    Attributes:
        value: of the search's metric on the rows that score; None where training diverged.
        epochs: that were trained.
        kept_epoch: whose weights were scored; 0: the initial ones.
        outcome: how training ended.
    """

    value: Number
    epochs: int
    kept_epoch: int
    outcome: Literal["finished", "stopped early", "diverged"]


class Rung(Record):
    """A trial's value after so many epochs, where a strategy decided whether it went on."""

    epochs: int
    value: Number


class Trial(Record):
    """One setting and what became of it.

    Attributes:
        number: from 0, in the order in which settings were proposed.
        batch: in which it was proposed, from 0.
        parameters: value of each parameter that the setting has, by the name that the search's space gives it;
            a parameter whose condition does not hold is left out.
        state: "finished"; "pruned": ended by the strategy before its last epoch; "diverged": on one fold at least;
            "failed": its training ended with an error, for want of memory for instance; "invalid": the experiment
            cannot be built with it, nothing was trained.
        value: mean of the metric over the folds; None unless each fold has one.
        folds: one score a fold; none for an invalid or failed trial.
        epochs: trained, over all folds; what the budget is charged. A failed trial is charged nothing.
        limit: epochs that each fold was allowed.
        rungs: values at which the strategy decided, first to last.
        way: how it was trained; None for an invalid trial.
        explanation: why it is invalid, failed, diverged or pruned; "" if finished.
    """

    number: int
    batch: int
    parameters: dict[str, Any]
    state: TrialState
    value: Number = None
    folds: tuple[FoldScore, ...] = ()
    epochs: int = 0
    limit: int = 0
    rungs: tuple[Rung, ...] = ()
    way: Way | None = None
    explanation: str = ""


class SearchedParameter(Record):
    """One parameter of a space, as declared.

    Attributes:
        name: as the space calls it: its path in the experiment.
        kind: how it is drawn.
        low, high: bounds of a number, both included; None for choices.
        log: drawn uniformly in its logarithm.
        choices: all values of a categorical parameter.
        when: parameter on which it depends → values for which it is drawn; empty: always.
    """

    name: str
    kind: Literal["uniform", "integer", "choice"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    when: dict[str, tuple[Any, ...]] = Field(default_factory=dict)


class SearchRecord(Record):
    """A search in one framework: out of the stage ``search``, read by the report.

    Attributes:
        search: its name in params.yaml.
        description: what it teaches, in a line.
        experiment: the one whose settings it varies.
        framework: that trained.
        strategy: that proposed settings.
        metric, higher_is_better: what it looked for.
        protocol: how settings were scored, in words.
        folds: rows of each fold: trained on, and scored on.
        budget: trained epochs that were allowed, over all trials and folds; None: bounded by trials alone.
        space: the parameters.
        trials: all of them, by number.
        best: number of the winner; None where no trial finished.
    """

    search: str
    description: str
    experiment: str
    framework: str
    strategy: str
    metric: str
    higher_is_better: bool
    protocol: str
    folds: tuple[FoldRows, ...]
    budget: int | None
    space: tuple[SearchedParameter, ...]
    trials: tuple[Trial, ...]
    best: int | None
