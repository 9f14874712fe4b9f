"""A classifier and a regressor that scikit-learn's tools take, trained by Tandem's own rules."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from tandem.config import Params
from tandem.datasets.source import Rows
from tandem.errors import TandemError
from tandem.fitdata import FitData
from tandem.models import write_architecture
from tandem.records import Task
from tandem.scaling import fit_scaler
from tandem.sklearn import process
from tandem.sklearn.declaration import Declaration, declare, declared_parameters
from tandem.sklearn.errors import EstimatorError
from tandem.sklearn.network import FittedNetwork
from tandem.training import Trained

_SEEDS = 2**31


class TandemEstimator(BaseEstimator):
    """What both estimators are: parameters, a fit and its record.

    Parameters are checked by ``fit``. Rows have equal weight: ``fit`` takes no ``sample_weight``. ``X`` is dense and
    finite, ``y`` one column. One process trains with one framework, and TensorFlow with one number of threads; fits
    take turns with one another and with predictions.

    Args:
        framework: "torch", "keras", or "numpy" for dense networks.
        hidden: widths of the hidden layers, where ``model`` is None; () for none.
        activation: of the hidden layers, where ``model`` is None.
        model: a network as params.yaml declares it, or the list of its layers.
        loss: by its name in params.yaml; None: squared error for values, cross-entropy for classes (binary for two).
        optimizer: a name, or a mapping of it and its settings; the learning rate aside.
        learning_rate: of the optimiser.
        epochs: at most so many.
        batch_size: rows to a step, or "auto".
        validation_fraction: share of the rows that is held out to validate after each epoch, drawn with
            ``random_state`` and, of classes, in their shares; 0: none.
        early_stopping: None, or a mapping of monitor ("valid_loss", "train_loss"), patience and min_delta.
        checkpoint: "last" keeps the last epoch's weights, "best" those of the lowest validation loss.
        standardize: "zscore", "minmax" or "none"; or a mapping of method and per ("feature", "all"). Fitted on the
            rows that train.
        sample_shape: of a row of X, (28, 28) for instance; None: the columns.
        constants: "aligned", "aligned-torch" or "native", as in params.yaml.
        training: None, or a mapping of further settings: augmentation, repeat, shuffle, stop_below.
        random_state: a whole number is the seed as params.yaml has it; None draws another each fit.
        threads: that the framework computes with; results depend on them.

    Attributes:
        network_: the trained network, as arrays and text (:class:`tandem.sklearn.network.FittedNetwork`).
        history_: by name, the value after each epoch: "epoch", "learning_rate", "train_loss" and others; None for
            what is no finite number.
        n_epochs_: that were trained.
        outcome_: "finished", "stopped early" or "diverged".
        n_features_in_, feature_names_in_: as scikit-learn has them.
    """

    task: ClassVar[Task]

    def __init__(
        self,
        *,
        framework: str = "torch",
        hidden: Any = (30,),
        activation: str = "relu",
        model: Any = None,
        loss: str | None = None,
        optimizer: Any = "adam",
        learning_rate: float = 0.001,
        epochs: int = 100,
        batch_size: int | str = 32,
        validation_fraction: float = 0.0,
        early_stopping: Any = None,
        checkpoint: str = "last",
        standardize: Any = "zscore",
        sample_shape: Any = None,
        constants: str = "aligned",
        training: Any = None,
        random_state: Any = 0,
        threads: int = 1,
    ) -> None:
        self.framework = framework
        self.hidden = hidden
        self.activation = activation
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.checkpoint = checkpoint
        self.standardize = standardize
        self.sample_shape = sample_shape
        self.constants = constants
        self.training = training
        self.random_state = random_state
        self.threads = threads

    @classmethod
    def from_experiment(
        cls, params: Path | str | Mapping[str, Any] | Params, name: str, framework: str = "torch", **changes: Any
    ) -> Self:
        """Return an estimator, not fitted, with the settings of a declared experiment.

        It trains once, on one device, with its rows in memory: replicates, devices and input are left aside. Of a
        split, only the validation share of a holdout is taken over.

        Args:
            params: the path of a params.yaml, or what it declares.
            name: of the experiment.
            framework: that trains.
            changes: parameters with another value than declared.

        Raises:
            EstimatorError: params.yaml is wrong, has no such experiment, or it is one that no estimator trains.
        """
        return cls(**{**declared_parameters(params, name, cls.task), "framework": framework, **changes})

    def _fit(self, X: np.ndarray, targets: np.ndarray, classes: tuple[str, ...] = ()) -> Self:
        """Train on validated rows, and record it."""
        seed = _seed_of(self.random_state)
        names = tuple(getattr(self, "feature_names_in_", ()))
        declared = declare(self.get_params(deep=False), self.task, seed, X.shape[1], names, classes)
        samples = X.reshape(len(X), *declared.description.feature_shape)
        train, valid = _divide(targets, declared, seed)
        scaler = fit_scaler(samples, train, declared.standardize)
        typed = targets.astype(np.int32 if self.task == "classification" else np.float32)
        data = FitData(
            Rows(scaler.transform(samples[train]), typed[train]),
            Rows(scaler.transform(samples[valid]), typed[valid]),
            declared.description,
        )
        try:
            trained = process.train(self.framework, declared.architecture, declared.experiment, data)
        except TandemError as error:
            raise EstimatorError(str(error)) from None
        self.network_ = FittedNetwork(
            framework=self.framework,
            threads=declared.experiment.training.threads,
            constants=declared.experiment.constants,
            architecture=write_architecture(declared.architecture),
            scaler=scaler.model_dump_json(),
            weights=trained.weights,
        )
        self._record(trained)
        return self

    def _record(self, trained: Trained) -> None:
        history = trained.history
        self.history_ = {
            "epoch": list(history.epochs),
            "learning_rate": list(history.learning_rate),
            **{name: list(values) for name, values in history.columns.items()},
        }
        self.n_epochs_, self.outcome_ = trained.record.epochs, trained.record.outcome
        if trained.record.outcome == "diverged":
            kept = f"those of epoch {trained.record.kept_epoch}" if trained.record.kept_epoch else "the initial ones"
            warnings.warn(
                f"{trained.record.explanation}; the weights are {kept}; try a smaller learning_rate",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _outputs(self, X: Any) -> np.ndarray:
        """Return values or probabilities of rows in original units."""
        check_is_fitted(self)
        return self.network_.predict(validate_data(self, X, reset=False, dtype=np.float64))


class TandemClassifier(ClassifierMixin, TandemEstimator):
    """A network that tells classes apart; labels may be of any type that sorts.

    Parameters and attributes are those of :class:`TandemEstimator`, and ``classes_``: the labels, sorted.
    """

    task = "classification"

    def fit(self, X: Any, y: Any) -> Self:
        """Train on rows X (n, columns) with labels y (n,).

        Raises:
            EstimatorError: a parameter is wrong, or does not fit the data; there is one class only.
            ValueError: X or y are not what scikit-learn calls valid.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise EstimatorError(f"y: has one class, {self.classes_[0]!r}; give rows of two classes or more")
        return self._fit(X, labels, tuple(str(label) for label in self.classes_))

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest label of each row (n,)."""
        likeliest = self._outputs(X).argmax(axis=1)
        return self.classes_[likeliest]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class (n, classes), float64, in the order of ``classes_``."""
        return self._outputs(X)


class TandemRegressor(RegressorMixin, TandemEstimator):
    """A network that predicts a number; parameters and attributes are those of :class:`TandemEstimator`."""

    task = "regression"

    def fit(self, X: Any, y: Any) -> Self:
        """Train on rows X (n, columns) with values y (n,), which are not scaled.

        Raises:
            EstimatorError: a parameter is wrong, or does not fit the data.
            ValueError: X or y are not what scikit-learn calls valid.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        return self._fit(X, y)

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted value of each row (n,), float64."""
        return self._outputs(X)[:, 0]


def _seed_of(random_state: Any) -> int:
    """Return the seed of a training: the number itself, or one drawn from a generator."""
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        if not 0 <= random_state < _SEEDS:
            raise EstimatorError(f"random_state: {random_state}: must be a whole number from 0 to {_SEEDS - 1}")
        return int(random_state)
    try:
        return int(check_random_state(random_state).randint(_SEEDS - 1))
    except ValueError:
        raise EstimatorError(
            f"random_state: {random_state!r}: must be a whole number, None, or a numpy.random.RandomState"
        ) from None


def _divide(targets: np.ndarray, declared: Declaration, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the rows that train, and of those that validate."""
    rows = np.arange(len(targets))
    if not declared.validation:
        return rows, rows[:0]
    classes = targets if declared.description.task == "classification" else None
    try:
        train, valid = train_test_split(rows, test_size=declared.validation, random_state=seed, stratify=classes)
    except ValueError as error:
        first = str(error).splitlines()[0].rstrip(".")
        raise EstimatorError(
            f"validation_fraction: {declared.validation:g} of {len(rows)} rows cannot be held out ({first}); "
            "give more rows, another share, or 0"
        ) from None
    return np.sort(train), np.sort(valid)
