"""Learning-rate schedules: one implementation, which gives every framework the same rate at every step."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tandem.declared import Declared


class InverseTime(Declared):
    """η / (1 + decay · t), the decay of Keras's older optimisers; t counts steps."""

    kind: Literal["inverse_time"]
    decay: float = Field(gt=0, description="Loss of rate a step, at first.")


class Exponential(Declared):
    """η · rate^(t / steps); t counts steps."""

    kind: Literal["exponential"]
    rate: float = Field(gt=0, le=1, description="Factor of the rate after so many steps.")
    steps: int = Field(gt=0, description="Steps in which the rate falls by the factor.")
    staircase: bool = Field(default=False, description="Fall at once after so many steps, not a little at each.")


class Drop(Declared):
    """The rate is multiplied by a factor after every so many epochs."""

    kind: Literal["drop"]
    factor: float = Field(gt=0, le=1)
    epochs: int = Field(gt=0)


class Cosine(Declared):
    """From η down to a share of it along half a cosine wave (Loshchilov and Hutter, 2016), once; by epochs."""

    kind: Literal["cosine"]
    epochs: int = Field(gt=0, description="Epochs until the lowest rate, which then stays.")
    lowest: float = Field(default=0.0, ge=0, le=1, description="Share of the rate that is left at the end.")


Schedule = Annotated[InverseTime | Exponential | Drop | Cosine, Field(discriminator="kind")]


def learning_rates(
    schedule: InverseTime | Exponential | Drop | Cosine | None, rate: float, epoch: int, steps: int
) -> np.ndarray:
    """Return the rate of each step of an epoch, float64 (steps,).

    Args:
        schedule: as declared; None: the rate is constant.
        rate: the declared learning rate η.
        epoch: from 0.
        steps: of every epoch.
    """
    if schedule is None:
        return np.full(steps, rate)
    step = np.arange(epoch * steps, (epoch + 1) * steps, dtype=np.float64)
    if isinstance(schedule, InverseTime):
        return rate / (1 + schedule.decay * step)
    if isinstance(schedule, Exponential):
        passed = step / schedule.steps
        return rate * schedule.rate ** (np.floor(passed) if schedule.staircase else passed)
    if isinstance(schedule, Drop):
        return np.full(steps, rate * schedule.factor ** (epoch // schedule.epochs))
    progress = np.minimum(step / (schedule.epochs * steps), 1)
    return rate * (schedule.lowest + (1 - schedule.lowest) * (1 + np.cos(np.pi * progress)) / 2)
