"""PyTorch's native ``state_dict`` file."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from tandem.errors import ModelError
from tandem.frameworks.torch.network import TandemNetwork, build
from tandem.models import Architecture, Constants

FILE = "model.pt"


def save(network: TandemNetwork, directory: Path) -> None:
    """Write ``model.pt``; the same bytes for the same weights."""
    copies = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
    buffer = io.BytesIO()  # PyTorch's own writer does not say why a file cannot be written
    torch.save(copies, buffer)
    (directory / FILE).write_bytes(buffer.getbuffer())


EXPORTS = {"state-dict": save}


def load(directory: Path, architecture: Architecture, constants: Constants) -> TandemNetwork:
    """Read ``model.pt``, arrays alone.

    Raises:
        ModelError: missing, damaged, or not of this architecture.
    """
    path = directory / FILE
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise ModelError(f"{path}: missing; run `dvc repro` to train the model") from None
    except Exception as error:  # PyTorch raises whatever its readers do
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path}: damaged ({first[:200]}); delete it and run `dvc repro`") from None
    network = build(architecture, seed=0, constants=constants)
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError):
        raise ModelError(
            f"{path}: its layers are not those of params.yaml; run `dvc repro` to train it again"
        ) from None
    return network
