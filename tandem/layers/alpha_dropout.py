"""Alpha dropout."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from tandem.declared import Declared
from tandem.layers.layer import Draft, Example, Place, Shape


class Declaration(Declared):
    """Dropout that keeps mean and variance of selu networks (Klambauer et al., 2017)."""

    rate: float = Field(ge=0, lt=1, description="Share of inputs that are dropped.")


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer; it takes samples of any rank."""
    del place
    yield Draft("alpha_dropout", shape, {"rate": declared.rate})


STILL = {"rate": 0.0}
EXAMPLES = (Example({"rate": 0.2}, (6,)), Example({"rate": 0.0}, (3, 4)))
