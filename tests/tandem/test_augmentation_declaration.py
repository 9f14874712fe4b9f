"""What params.yaml may say of augmentation."""

from __future__ import annotations

import pytest

from tandem.augmentation import Augmentation
from tandem.config import read_params
from tandem.errors import ParameterError

DIGITS = "{epochs: 2, batch_size: 32"
COFFEE = "{epochs: 4, batch_size: 8"


def first_line(error: ParameterError) -> str:
    return str(error).splitlines()[0].partition("params.yaml:")[2]


def test_images_can_be_augmented(write_params):
    params = read_params(write_params((DIGITS, DIGITS + ", augmentation: {flip: both, rotation: 10}")))
    assert params.experiments["digits-mlp"].training.augmentation == Augmentation(flip="both", rotation=10)
    assert params.experiments["coffee"].training.augmentation is None


@pytest.mark.parametrize(
    ("training", "declared", "message"),
    [
        (DIGITS, "{flip: none}",
         "27: experiments.digits-mlp.training.augmentation: changes no image: set flip or rotation, or remove the key; "
         "given: flip"),
        (DIGITS, "{flip: sideways}",
         "27: experiments.digits-mlp.training.augmentation.flip: 'sideways' is not known; "
         "allowed: both, horizontal, none, vertical"),
        (DIGITS, "{rotation: 200}",
         "27: experiments.digits-mlp.training.augmentation.rotation: 200: must be less than or equal to 180"),
        (COFFEE, "{flip: both}",
         "43: experiments.coffee.training.augmentation: flips and turns images of shape (height, width) or "
         "(height, width, channels), 'coffee' has samples of shape (2,); remove the key"),
    ],
)  # fmt: skip
def test_a_mistake_is_told(write_params, training, declared, message):
    with pytest.raises(ParameterError) as caught:
        read_params(write_params((training, f"{training}, augmentation: {declared}")))
    assert first_line(caught.value) == message
