"""Alpha dropout."""

from __future__ import annotations

from torch import nn

from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer."""
    del constants
    return nn.AlphaDropout(layer.settings["rate"])
