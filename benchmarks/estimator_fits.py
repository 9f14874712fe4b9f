"""Fits an estimator again and again in this process; prints seconds a fit and resident memory as it goes.

Run as ``python -m benchmarks.estimator_fits FRAMEWORK SEARCH [FITS]``; SEARCH is "rates": every fit has another
learning rate and other rows, as in a grid search with folds; or "widths": every fit has another network, too.
"""

from __future__ import annotations

import gc
import sys
import time

import numpy as np
import psutil
from sklearn.metrics import r2_score

from tandem.sklearn import TandemRegressor

ROWS, COLUMNS, EPOCHS = 2048, 8, 5
REPORTS = 5


def main() -> None:
    """Fit and print."""
    framework, search, *given = sys.argv[1:]
    fits = int(given[0]) if given else 50
    generator = np.random.default_rng(0)
    X = generator.normal(size=(2 * ROWS, COLUMNS))
    y = X @ generator.normal(size=COLUMNS)
    process, started, last = psutil.Process(), time.perf_counter(), 0
    print("fits  seconds a fit  resident MB", flush=True)
    for number in range(1, fits + 1):
        rows = generator.permutation(2 * ROWS)
        train, test = rows[:ROWS], rows[ROWS:]
        hidden = (30, 30) if search == "rates" else (30, 30 + number)
        estimator = TandemRegressor(
            framework=framework, hidden=hidden, learning_rate=0.001 + number / 1e5, epochs=EPOCHS
        ).fit(X[train], y[train])
        score = r2_score(y[test], estimator.predict(X[test]))
        assert np.isfinite(score)
        if number in (1, 2) or number % max(1, fits // REPORTS) == 0:
            gc.collect()
            seconds = (time.perf_counter() - started) / (number - last)
            print(f"{number:4}  {seconds:13.3f}  {process.memory_info().rss / 1e6:11.0f}", flush=True)
            started, last = time.perf_counter(), number


if __name__ == "__main__":
    main()
