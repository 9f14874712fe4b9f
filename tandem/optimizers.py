"""Optimisers as declared; each framework's ``optimizers`` module computes them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tandem.declared import Declared
from tandem.schedules import Schedule


class _Rated(Declared):
    """What all optimisers have."""

    learning_rate: float = Field(gt=0)
    schedule: Schedule | None = Field(default=None, description="How the learning rate falls; none: constant.")
    clip_norm: float | None = Field(
        default=None, gt=0, description="Longer gradients, all arrays together, are shortened to this norm."
    )


class Sgd(_Rated):
    """Stochastic gradient descent, with momentum if it is not zero."""

    name: Literal["sgd"]
    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise PydanticCustomError("inconsistent", "nesterov needs a momentum above 0, or leave it out")
        return self


class Adam(_Rated):
    """Adam (Kingma and Ba, 2014)."""

    name: Literal["adam"]
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.999, ge=0, lt=1)


class RmsProp(_Rated):
    """RMSprop (Hinton, 2012): a running mean of squared gradients scales the step."""

    name: Literal["rmsprop"]
    rho: float = Field(default=0.9, ge=0, lt=1)


Optimizer = Annotated[Sgd | Adam | RmsProp, Field(discriminator="name")]
AnyOptimizer = Sgd | Adam | RmsProp
