"""Trains networks together, or one by itself, for an epoch and prints seconds of processor time and memory as JSON.

Run as ``python -m benchmarks.population_worker FRAMEWORK WAY MODELS ROWS WIDTH``; WAY is "together" or
"alone" (one network, whose time stands for each). Networks have eight inputs and two hidden layers, batches 32 rows.
"""

from __future__ import annotations

import json
import math
import sys
import time

import numpy as np

from tandem.config import Experiment
from tandem.datasets import Rows
from tandem.frameworks import load_framework
from tandem.models import resolve
from tandem.population.costs import pays_together
from tandem.population.stack import Member, work_of
from tandem.population.training import Candidate, make_batches, train_batch
from tandem.searches.folds import FoldData
from tandem.searches.together import TYPICAL
from tandem.training import epoch_order, peak_memory_bytes

FEATURES, BATCH, EPOCHS, MEGABYTES = 8, 32, 2, 256
DECIDED = 20  # epochs for which it is decided how to train


def main() -> None:
    """Train and print."""
    name, way, *numbers = sys.argv[1:]
    models, rows, width = map(int, numbers)
    framework = load_framework(name, alone=True, stacked=way == "together")
    framework.set_up(1)
    generator = np.random.default_rng(0)
    features = generator.standard_normal((rows, FEATURES), dtype=np.float32)
    train = Rows(features, features[:, 0] * features[:, 1])
    before = peak_memory_bytes()
    declared = {
        "description": "a benchmark",
        "dataset": "made",
        "model": {"sequential": [{"dense": {"units": width, "activation": "relu", "repeat": 2}}]},
        "loss": "mse",
        "optimizer": {"name": "sgd", "learning_rate": 0.001},
        "training": {"epochs": EPOCHS, "batch_size": BATCH},
    }
    experiment = Experiment.model_validate_json(json.dumps(declared))
    architecture = resolve(experiment.model, (FEATURES,), "regression", "mse", 0)
    members = [Member(experiment, architecture, seed) for seed in range(models)]
    seconds = []
    if way == "together":
        none = Rows(train.features[:0], train.targets[:0])
        folds = [FoldData(train, none, none)]
        batches = list(make_batches([Candidate(one.seed, one) for one in members], folds, MEGABYTES))
        ends = []
        for batch in batches:
            began = time.process_time()
            train_batch(framework, batch, folds, None, lambda _left: None, lambda _n: ends.append(time.process_time()))
            seconds.append(ends[-1] - (ends[-2] if EPOCHS > 1 else began))
    else:
        network = framework.build(architecture, seed=0, constants="aligned")
        trainer = framework.trainer(network, train, experiment.optimizer, constants="aligned")
        rates = np.full(math.ceil(rows / BATCH), 0.001)
        for epoch in range(EPOCHS):
            began = time.process_time()
            trainer.train_epoch(epoch_order(rows, 1, 0, epoch), BATCH, rates, 0)
            last = time.process_time() - began
        seconds.append(last)
    costs = framework.STACK_COSTS
    assert costs is not None, "NumPy trains networks one at a time"
    training = experiment.training.model_copy(update={"epochs": DECIDED})
    member = Member(experiment.model_copy(update={"training": training}), architecture, 0)
    networks = max(models, 2)
    print(
        json.dumps(
            {
                "seconds": sum(seconds),
                "batches": len(seconds),
                "memory": peak_memory_bytes() - before,
                "settings": pays_together(costs, work_of(member, TYPICAL, TYPICAL, rows)),
                "replicates": pays_together(costs, work_of(member, networks, 1, rows)),
            }
        )
    )


if __name__ == "__main__":
    main()
