"""Uses the estimators and prints what came of it as JSON: FRAMEWORK, FRAMEWORK jobs, or FRAMEWORK check CLASS."""

from __future__ import annotations

import io
import json
import pickle
import sys
import warnings

import numpy as np
import pandas as pd
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from tandem.sklearn import EXPECTED_FAILED_CHECKS, EstimatorError, TandemClassifier, TandemRegressor, process

ROWS = 60


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, values and labels of any type."""
    generator = np.random.default_rng(3)
    X = generator.normal(10, 4, size=(ROWS, 3))
    values = X[:, 0] - 2 * X[:, 1] + generator.normal(size=ROWS)
    return X, values, np.where(values > np.median(values), "high", "low")


def classifier(framework: str, **changes: object) -> TandemClassifier:
    # 60 rows in 3 folds: each trains on 40, and no batch is left over; in Keras that is one program for all.
    settings = {"hidden": (6,), "epochs": 15, "batch_size": 20, "learning_rate": 0.03}
    return TandemClassifier(framework=framework, **{**settings, **changes})


class Reader(pickle.Unpickler):
    """Reads a pickle and notes the packages that it asks for."""

    def __init__(self, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled))
        self.packages: set[str] = set()

    def find_class(self, module: str, name: str) -> object:
        self.packages.add(module.partition(".")[0])
        return super().find_class(module, name)


def searched(framework: str) -> dict:
    X, _, labels = data()
    grid = {"learning_rate": [1e-5, 0.03], "epochs": np.array([5, 15]), "random_state": [0]}
    search = GridSearchCV(classifier(framework), grid, cv=3).fit(X, labels)
    return {
        "best": {name: float(value) for name, value in search.best_params_.items()},
        "score": search.score(X, labels),
        "candidates": len(search.cv_results_["params"]),
        "sessions": len(process._sessions._kept),
        "traces": [
            session.trainer._steps.experimental_get_tracing_count()
            for session in process._sessions._kept.values()
            if framework == "keras"
        ],
        "rows kept": sum(len(session.data.train) for session in process._sessions._kept.values()),
    }


def piped(framework: str) -> dict:
    X, _, labels = data()
    table = pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=np.where(X[:, 2] > 10, "red", "blue"))
    columns = make_column_transformer((StandardScaler(), ["a", "b"]), (OneHotEncoder(sparse_output=False), ["kind"]))
    pipeline = make_pipeline(columns, classifier(framework, standardize="none")).fit(table, labels)
    named = classifier(framework).fit(table[["a", "b", "c"]], labels)
    return {
        "score": pipeline.score(table, labels),
        "columns": int(pipeline[-1].n_features_in_),
        "names": list(named.feature_names_in_),
    }


def fitted(framework: str) -> dict:
    X, values, labels = data()
    model = [{"dense": {"units": 8, "activation": "selu", "batch_normalization": "before"}}]
    stopping = {"monitor": "valid_loss", "patience": 3, "min_delta": 0.0}
    watched = {"validation_fraction": 0.25, "early_stopping": stopping, "checkpoint": "best"}
    regressor = TandemRegressor(
        framework=framework,
        model=model,
        optimizer={"name": "sgd", "momentum": 0.9},
        batch_size=15,
        epochs=40,
        **watched,
    ).fit(X, values)
    first = classifier(framework).fit(X, labels)
    again, other = clone(first).fit(X, labels), classifier(framework, random_state=1).fit(X, labels)
    pickled = pickle.dumps(first)
    scores = cross_val_score(classifier(framework), X, labels, cv=3).tolist()
    reader = Reader(pickled)
    read = reader.load()
    process._networks._kept.clear()  # as in another process
    process._sessions._kept.clear()
    fresh = clone(first).fit(X, labels)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ConvergenceWarning)
        settings = {"optimizer": "sgd", "learning_rate": 1e6, "epochs": 30, "batch_size": ROWS}
        diverged = TandemRegressor(framework=framework, **settings).fit(X, values)
    return {
        "values": regressor.predict(X).tolist(),
        "valid epochs": len(regressor.history_["valid_loss"]),
        "epochs": regressor.n_epochs_,
        "outcome": regressor.outcome_,
        "probabilities": first.predict_proba(X).tolist(),
        "score": first.score(X, labels),
        "classes": first.classes_.tolist(),
        "again": again.predict_proba(X).tolist(),
        "other": other.predict_proba(X).tolist(),
        "fresh": fresh.predict_proba(X).tolist(),
        "read": read.predict_proba(X).tolist(),
        "pickled": sorted(reader.packages),
        "cross_val_score": scores,
        "diverged": [diverged.outcome_, *(str(warning.message) for warning in told)],
        "finite": bool(np.isfinite(diverged.predict(X)).all()),
    }


def threads(framework: str) -> str:
    X, _, labels = data()
    try:
        classifier(framework, threads=2, epochs=1).fit(X, labels)
    except EstimatorError as error:
        return str(error)
    return ""


def checked(framework: str, name: str) -> list[dict]:
    kind = {"TandemClassifier": TandemClassifier, "TandemRegressor": TandemRegressor}[name]
    # One batch an epoch: Keras then compiles one program a fit, and none for what is left over.
    estimator = kind(framework=framework, epochs=25, learning_rate=0.1, batch_size=1000)
    results = check_estimator(
        estimator, expected_failed_checks=dict(EXPECTED_FAILED_CHECKS[name]), on_skip=None, on_fail=None
    )
    return [
        {"check": result["check_name"], "status": result["status"], "said": repr(result["exception"])[:500],
         "named": result["expected_to_fail"]}
        for result in results
    ]  # fmt: skip


def jobs(framework: str) -> dict[str, list[float]]:
    """Search in this process and in two of joblib's; return the scores of each."""
    X, _, labels = data()
    grid = {"learning_rate": [1e-3, 0.03]}
    scores = {}
    for count in (1, 2):
        search = GridSearchCV(classifier(framework), grid, cv=3, n_jobs=count).fit(X, labels)
        scores[str(count)] = [*search.cv_results_["mean_test_score"].tolist(), search.score(X, labels)]
    get_reusable_executor().shutdown(wait=True)
    return scores


def main() -> None:
    framework, *more = sys.argv[1:]
    if more == ["jobs"]:
        print(json.dumps(jobs(framework)))
        return
    if more:
        print(json.dumps(checked(framework, more[1])))
        return
    found = {"search": searched(framework), "pipeline": piped(framework), **fitted(framework)}
    print(json.dumps(found | {"threads": threads(framework)}))


if __name__ == "__main__":
    main()
