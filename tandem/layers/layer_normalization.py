"""Layer normalisation."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.declared import Declared
from tandem.layers.layer import ONES, ZEROS, Draft, Example, Parameter, Place, Shape


class Declaration(Declared):
    """Normalises each sample over its features (the last axis), position by position (Ba et al., 2016)."""


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer; it takes samples of any rank, channels last."""
    del declared, place
    features = shape[-1:]
    yield Draft(
        "layer_normalization",
        shape,
        parameters=(Parameter("gamma", features, ONES), Parameter("beta", features, ZEROS)),
    )


EXAMPLES = (Example({}, (6,)), Example({}, (3, 4)), Example({}, (2, 3, 4)))
