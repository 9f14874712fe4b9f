"""Where memory does not suffice for a batch it is halved; a setting for which it never does fails alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from population_cases import made_experiment
from shipped_folds import shipped_folds

from tandem.frameworks import load_framework
from tandem.population.stack import Stack
from tandem.searches.alone import AloneEvaluator
from tandem.searches.evaluator import Result, Setting
from tandem.searches.together import TogetherEvaluator


class Scarce:
    """PyTorch with memory for so many members at once."""

    def __init__(self, members: int, too_wide: int = 1000) -> None:
        self._framework, self._members, self._too_wide = load_framework("torch"), members, too_wide

    def __getattr__(self, name: str) -> Any:
        return getattr(self._framework, name)

    def populate(self, stack: Stack, rows: Any, dtype: str) -> Any:
        widest = max(layer.output_shape[-1] for layer in stack.padded.layers)
        if len(stack) > self._members or widest >= self._too_wide:
            raise torch.OutOfMemoryError(f"tried to\nallocate {len(stack)} GiB")
        return self._framework.populate(stack, rows, dtype)


def scores(framework: Any, widths: tuple[int, ...]) -> list[Result]:
    """Return what settings of these widths come to."""
    folds, found = shipped_folds("diabetes"), []
    settings = [
        Setting(number, made_experiment(model={"sequential": [{"dense": {"units": units, "activation": "relu"}}]}))
        for number, units in enumerate(widths)
    ]
    alone: Any = None
    TogetherEvaluator(framework, "mse", folds, 100, alone).train(settings, 2, found.append)
    return sorted((replace(one, seconds=0.0) for one in found), key=lambda one: one.number)


def test_a_batch_that_memory_does_not_suffice_for_is_halved():
    plenty, scarce = scores(Scarce(1000), (5, 6, 7, 8)), scores(Scarce(3), (5, 6, 7, 8))
    assert [len(one.folds) for one in plenty] == [len(shipped_folds("diabetes").rows)] * 4
    assert scarce == plenty


def test_a_setting_that_memory_never_suffices_for_fails_alone():
    plenty, scarce = scores(Scarce(1000), (5, 40, 7)), scores(Scarce(1000, too_wide=40), (5, 40, 7))
    assert scarce[::2] == plenty[::2]
    assert scarce[1].folds == ()
    assert scarce[1].failure.startswith("training failed: OutOfMemoryError: tried to allocate ")


class Refusing:
    """PyTorch that raises an error for each network it is to build."""

    def __init__(self, error: Exception) -> None:
        self._framework, self._error = load_framework("torch"), error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._framework, name)

    def build(self, *_: Any, **__: Any) -> Any:
        raise self._error


def test_a_setting_trained_alone_fails_by_what_its_training_raises_and_not_by_mistakes_in_code(capsys):
    setting, folds, found = Setting(4, made_experiment()), shipped_folds("diabetes"), []
    refusing: Any = Refusing(RuntimeError("shapes\ndiffer"))
    AloneEvaluator(refusing, "mse", folds).train([setting], 2, found.append)
    (result,) = found
    assert (result.number, result.folds, result.failure) == (4, (), "training failed: RuntimeError: shapes differ")
    assert "Traceback" in capsys.readouterr().err, "the log has the whole of it"
    mistaken: Any = Refusing(KeyError("no such"))
    with pytest.raises(KeyError, match="no such"):
        AloneEvaluator(mistaken, "mse", folds).train([setting], 2, found.append)
