"""Training images are flipped and turned alike in every framework, and no other rows are."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from augmentation_worker import AUGMENTATION, ROWS, SHAPES, experiment, images
from scipy import ndimage

from tandem.augmentation import Augmentation, draw_transforms
from tandem.frameworks.numpy.augmentation import transform_images
from tandem.training import epoch_transforms

FOLDER = Path(__file__).parent
FRAMEWORKS = ("keras", "torch", "numpy")


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("augmentation")
    environment = dict(os.environ) | {"PYTHONPATH": str(FOLDER.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    found = {}
    for framework in FRAMEWORKS:
        file = folder / f"{framework}.npz"
        command = [sys.executable, str(FOLDER / "augmentation_worker.py"), framework, str(file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        with np.load(file, allow_pickle=False) as arrays:
            found[framework] = dict(arrays)
    return found


def by_scipy(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Resample (height, width[, channels]) with SciPy's own interpolation."""
    if image.ndim == 3:
        return np.stack([by_scipy(channel, matrix) for channel in np.moveaxis(image, -1, 0)], axis=-1)
    centre = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(image, matrix, offset=centre - matrix @ centre, order=1, mode="nearest")


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_images_are_resampled_as_scipy_does(sides, framework, kind):
    given, transforms = images(SHAPES[kind]), draw_transforms(AUGMENTATION, ROWS, 1)
    expected = np.stack([by_scipy(image, matrix) for image, matrix in zip(given, transforms, strict=True)])
    np.testing.assert_allclose(sides[framework][f"{kind}/float64"], expected, atol=1e-12)
    np.testing.assert_allclose(sides[framework][f"{kind}/float32"], expected, atol=1e-4)
    assert np.abs(expected - given).max() > 0.5


@pytest.mark.parametrize("degrees", [-10.0, 3.0, 10.0, 90.0])
def test_a_turn_is_scipys_rotation(degrees):
    image, turn = images((11, 11), rows=1), np.deg2rad(degrees)
    matrix = np.array([[[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]])
    expected = ndimage.rotate(image[0], degrees, reshape=False, order=1, mode="nearest")
    np.testing.assert_allclose(transform_images(image, matrix)[0], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("flip", "mirrored"),
    [
        ("horizontal", [lambda image: image, lambda image: image[:, ::-1]]),
        ("vertical", [lambda image: image, lambda image: image[::-1]]),
        ("both", [lambda image: image, lambda image: image[:, ::-1], lambda image: image[::-1],
                  lambda image: image[::-1, ::-1]]),
    ],
)  # fmt: skip
def test_a_flip_without_a_turn_moves_whole_pixels(flip, mirrored):
    given = images((5, 4), rows=400).astype(np.float32)
    changed = transform_images(given, draw_transforms(Augmentation(flip=flip), 400, 7))
    kinds = [
        [position for position, mirror in enumerate(mirrored) if np.array_equal(new, mirror(old))]
        for old, new in zip(given, changed, strict=True)
    ]
    assert all(len(kind) == 1 for kind in kinds)
    shares = np.bincount([kind[0] for kind in kinds], minlength=len(mirrored)) / 400
    assert np.abs(shares - 1 / len(mirrored)).max() < 0.1


def test_angles_fill_the_declared_range():
    turns = draw_transforms(Augmentation(rotation=10.0), 2000, 5)
    angles = np.rad2deg(np.arctan2(turns[:, 0, 1], turns[:, 0, 0]))
    assert np.abs(angles).max() <= 10
    assert angles.min() < -9.5 < 9.5 < angles.max()
    assert not np.array_equal(turns, draw_transforms(Augmentation(rotation=10.0), 2000, 6))


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("framework", ["torch", "numpy"])
def test_an_epoch_with_augmentation_gives_the_same_weights_in_float64(sides, framework, kind):
    prefix = f"{kind}/trained/"
    names = [key for key in sides["keras"] if key.startswith(prefix)]
    assert len(names) == 5
    for name in names:
        expected = sides["keras"][name]
        assert np.abs(sides[framework][name] - expected).max() <= 1e-12 * np.abs(expected).max(), name
        plain = sides["keras"][name.replace("/trained/", "/plain/")]
        assert np.abs(plain - expected).max() > 1e-3 * np.abs(expected).max(), f"{name} is as without augmentation"


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_validation_and_gradient_probes_see_images_as_they_are(sides, framework):
    side = sides[framework]
    columns = [key.partition("/")[2] for key in side if key.startswith("plain/")]
    same = {column for column in columns if np.array_equal(side[f"plain/{column}"], side[f"augmented/{column}"])}
    assert {"valid_loss", "valid_accuracy", "gradient of dense_1", "gradient of output"} <= same
    assert "train_loss" not in same


def test_each_epoch_and_seed_draws_anew_and_alike():
    training = experiment(augmentation=AUGMENTATION.model_dump()).training
    draws = [epoch_transforms(training, 20, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(not np.array_equal(one, other) for one, other in combinations(draws, 2))
    np.testing.assert_array_equal(draws[0], epoch_transforms(training, 20, 0, 0))
    assert epoch_transforms(experiment().training, 20, 0, 0) is None
