"""Pruning by magnitude: the smallest weights of a trained network are set to zero, and it is scored again.

All kernels are ranked together (global magnitude pruning); biases, embeddings and the arrays of normalisation stay.
Training is not resumed afterwards. Han, Pool, Tran and Dally, Learning both Weights and Connections for Efficient
Neural Networks, NeurIPS 2015, https://arxiv.org/abs/1506.02626.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tandem import metrics
from tandem.datasets.source import Rows
from tandem.frameworks import Framework
from tandem.models import Architecture, output_values, parameter_names
from tandem.records import PrunedScores, PruningRecord, Task

Scores = Sequence[Mapping[str, float]]  # for each share, metric -> value


def kernels(architecture: Architecture) -> tuple[str, ...]:
    """Return "layer/parameter" of the arrays that are pruned."""
    return tuple(name for name, _ in parameter_names(architecture) if name.endswith(("/kernel", "/recurrent_kernel")))


def prune(weights: Mapping[str, np.ndarray], names: Sequence[str], share: float) -> dict[str, np.ndarray]:
    """Return weights with a share of the named arrays' numbers set to zero: the smallest of all of them together.

    Of numbers of equal magnitude the first are taken, so that the share is exact.

    Args:
        weights: by "layer/parameter"; they stay as they are.
        names: of the arrays to prune.
        share: from 0 to 1.
    """
    magnitudes = np.concatenate([np.abs(weights[name]).ravel() for name in names])
    mask = np.ones(len(magnitudes), dtype=bool)
    mask[np.argsort(magnitudes, kind="stable")[: round(share * len(magnitudes))]] = False
    ends = np.cumsum([weights[name].size for name in names])[:-1]
    pruned = {
        name: np.where(kept.reshape(weights[name].shape), weights[name], 0).astype(weights[name].dtype)
        for name, kept in zip(names, np.split(mask, ends), strict=True)
    }
    return {**weights, **pruned}


def score_pruned(
    framework: Framework, network: Any, architecture: Architecture, shares: Sequence[float], rows: Rows
) -> Scores:
    """Return the metrics of a network on rows, first whole, then with each share of its weights set to zero.

    The network keeps the weights of the last share.
    """
    weights, names, scores = framework.weights(network), kernels(architecture), []
    for share in (0.0, *shares):
        framework.load_weights(network, prune(weights, names, share) if share else weights)
        values = output_values(architecture, framework.predict(network, rows.features)[0])
        outputs = values if architecture.task == "classification" else values[:, 0]
        scores.append(metrics.compute(architecture.task, rows.targets, outputs))
    return scores


def pruning_record(
    architecture: Architecture, shares: Sequence[float], trainings: Sequence[Scores | None]
) -> PruningRecord:
    """Return what is to be known of the pruned networks; None stands for a training that diverged."""
    shapes = dict(parameter_names(architecture))
    return PruningRecord(
        weights=sum(math.prod(shapes[name].shape) for name in kernels(architecture)),
        levels=tuple(
            PrunedScores(share=share, metrics=_by_metric(architecture.task, level, trainings))
            for level, share in enumerate((0.0, *shares))
        ),
    )


def _by_metric(task: Task, level: int, trainings: Sequence[Scores | None]) -> dict[str, tuple[float | None, ...]]:
    return {
        metric: tuple(None if scores is None else _finite(scores[level][metric]) for scores in trainings)
        for metric in metrics.METRICS[task]
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
