"""What recurrent layers share."""

from __future__ import annotations

from pydantic import Field

from tandem.declared import Declared
from tandem.layers.layer import (
    Draft,
    Initial,
    Parameter,
    Place,
    Shape,
    glorot_uniform,
    need_rank,
    torch_uniform,
)


class Recurrent(Declared):
    """Settings of every recurrent layer."""

    units: int = Field(gt=0, le=100_000, description="Width of the state.")
    return_sequences: bool = Field(
        default=False, description="Hand on the state after each timestep (for another recurrent layer), or the last."
    )


def recurrent(kind: str, declared: Recurrent, shape: Shape, place: Place, bias: Shape, initial: Initial) -> Draft:
    """Return a recurrent layer whose gates lie one after the other along the last axis of each array.

    Args:
        kind: of layer.
        declared: its settings.
        shape: of one sample, (timesteps, features).
        place: of the declaration.
        bias: shape of the bias; its last axis holds the gates.
        initial: of the bias, with Keras's constants.
    """
    need_rank(kind, shape, 2, place)
    timesteps, inputs = shape
    units, gates = declared.units, bias[-1]
    parameters = (
        Parameter("kernel", (inputs, gates), glorot_uniform(inputs, gates), torch_uniform(units)),
        Parameter("recurrent_kernel", (units, gates), Initial("orthogonal"), torch_uniform(units)),
        Parameter("bias", bias, initial, torch_uniform(units)),
    )
    output_shape = (timesteps, units) if declared.return_sequences else (units,)
    return Draft(kind, output_shape, {"return_sequences": declared.return_sequences}, parameters)
