"""Folds of data that scikit-learn ships, as a search has them."""

from __future__ import annotations

import importlib

import numpy as np

from tandem.config import Standardize
from tandem.datasets.source import Rows
from tandem.records import DataDescription
from tandem.scaling import fit_scaler
from tandem.searches.folds import SearchFolds
from tandem.splits import Fold

ROWS = 240


def shipped_folds(dataset: str) -> SearchFolds:
    """Return three folds of a data set's first rows, and its next ones to be watched."""
    loaded = getattr(importlib.import_module("sklearn.datasets"), f"load_{dataset}")()
    order = np.random.default_rng(0).permutation(len(loaded.data))[: ROWS + 60]
    features, targets = loaded.data[order], loaded.target[order]
    classes = len(getattr(loaded, "target_names", ())) if dataset != "diabetes" else 0
    targets = targets.astype(np.int64) if classes else (targets - targets.mean()) / targets.std()
    description = DataDescription(
        dataset=dataset, source="made", title="Shipped", reference="scikit-learn",
        task="classification" if classes else "regression", feature_shape=features.shape[1:],
        feature_names=tuple(map(str, loaded.feature_names)), class_names=tuple(map(str, range(classes))),
        target_name="y", rows={}, class_counts={},
    )  # fmt: skip
    train, valid = (Rows(features[part], targets[part]) for part in (slice(ROWS), slice(ROWS, None)))
    third = np.array_split(np.arange(ROWS), 3)
    divided = tuple(Fold(train=np.setdiff1d(np.arange(ROWS), held), valid=held) for held in third)
    scaler = fit_scaler(train.features, np.arange(ROWS), Standardize(method="zscore"))
    return SearchFolds(description, divided, train, valid, scaler)
