"""The grid over one or two features: decided by the training rows alone, the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.surfaces import MARGIN, STEPS, has_grid, lay_grid

ROWS = np.array([[150.0, 11.5], [285.0, 15.5], [200.0, 13.0]])


def test_the_grid_covers_the_rows_and_a_margin():
    grid = lay_grid(ROWS)
    for axis, column in zip(grid.axes, ROWS.T, strict=True):
        reach = MARGIN * np.ptp(column)
        assert axis[[0, -1]] == pytest.approx([column.min() - reach, column.max() + reach])
        assert np.diff(axis) == pytest.approx(np.ptp(axis) / (STEPS[2] - 1))


def test_the_last_feature_varies_fastest():
    grid = lay_grid(ROWS)
    table = grid.points.reshape(STEPS[2], STEPS[2], 2)
    assert np.array_equal(table[:, 0, 0], grid.axes[0])
    assert np.array_equal(table[0, :, 1], grid.axes[1])


def test_one_feature_gives_a_line():
    grid = lay_grid(np.arange(5)[:, None])
    assert grid.points.shape == (STEPS[1], 1)
    assert np.array_equal(grid.points[:, 0], grid.axes[0])


def test_the_order_and_type_of_the_rows_do_not_matter():
    assert np.array_equal(lay_grid(ROWS).points, lay_grid(ROWS[::-1].astype(np.float32)).points)


def test_a_feature_that_does_not_vary_still_has_an_axis():
    axis = lay_grid(np.full((4, 1), 7)).axes[0]
    assert axis[0] < 7 < axis[-1]


def test_rows_with_a_missing_value_count_for_nothing():
    rows = np.vstack([ROWS, [[np.nan, 99.0]], [[-99.0, np.nan]]])
    assert np.array_equal(lay_grid(rows).points, lay_grid(ROWS).points)


@pytest.mark.parametrize(
    "rows", [np.zeros((0, 2)), np.zeros((3, 3)), np.zeros(3), np.array([[1.0, np.nan]]), np.array([[np.inf]])]
)
def test_rows_without_a_grid_are_refused(rows):
    with pytest.raises(ValueError, match=r"a grid needs rows \(n, 1\) or \(n, 2\) without missing values, not \("):
        lay_grid(rows)


@pytest.mark.parametrize(
    ("shape", "categorical", "has"),
    [((1,), (), True), ((2,), (), True), ((3,), (), False), ((1, 2), (), False), ((2,), (1,), False), ((), (), False)],
)
def test_one_or_two_numbers_have_a_grid(shape, categorical, has):
    assert has_grid(shape, categorical) is has
