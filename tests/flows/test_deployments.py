"""The deployments' forms, and what a form's choices mean."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.errors import ParameterError
from tandem.plan import NO_TRIALS, Plan

PLAN = Plan.model_validate(
    {
        "datasets": {"digits": {"dataset": "digits", "source": "digits", "file": "tandem/datasets/digits.py"}},
        "trainings": {},
        "ladders": {},
        "searches": {},
        "runs": {
            f"{name}-{framework}": {
                "experiment": name,
                "dataset": "digits",
                "framework": framework,
                "declared": name,
                "threads": f"experiments.{name}.training.threads",
            }
            for name in ("one", "two")
            for framework in ("keras", "torch")
        },
        "reports": {
            name: {
                "experiment": name,
                "dataset": "digits",
                "frameworks": "keras torch",
                "ladder": f"ladder/{name}.json",
                "trials": NO_TRIALS,
            }
            for name in ("one", "two")
        },
        "trials": NO_TRIALS,
    }
)


def form(deployment: Any) -> dict[str, Any]:
    return {
        name: {key: value for key, value in field.items() if key not in ("position", "description")}
        for name, field in deployment._parameter_openapi_schema.properties.items()
    }


def test_the_form_of_the_pipeline_is_flat_with_choices_bounds_and_descriptions() -> None:
    from flows.deployments import pipeline_deployment

    deployment = pipeline_deployment(PLAN)
    names = {"type": "array", "uniqueItems": True, "default": []}
    assert form(deployment) == {
        "experiments": names | {"title": "Experiments", "items": {"type": "string", "enum": ["one", "two"]}},
        "frameworks": names | {"title": "Frameworks", "items": {"type": "string", "enum": ["keras", "torch"]}},
        "force": {"title": "Force", "type": "boolean", "default": False},
        "parallel": {"title": "Parallel", "type": "integer", "minimum": 1, "maximum": 256},
        "learning_rate": {"title": "Learning rate", "type": "number", "exclusiveMinimum": 0, "maximum": 1000},
        "epochs": {"title": "Epochs", "type": "integer", "minimum": 0, "maximum": 1000000},
        "batch_size": {"title": "Batch size", "type": "integer", "exclusiveMinimum": 0, "maximum": 100000000},
        "replicates": {"title": "Replicates", "type": "integer", "exclusiveMinimum": 0, "maximum": 1000},
    }
    fields = deployment._parameter_openapi_schema.properties.values()
    assert all(field["description"] for field in fields)
    assert "Args" not in deployment.description
    assert deployment.description.count("\n") == 2
    assert deployment.enforce_parameter_schema
    assert deployment.schedules == []


def test_the_form_of_publishing() -> None:
    from flows.deployments import publish_deployment

    deployment = publish_deployment()
    assert form(deployment) == {
        "target": {"title": "Target", "type": "string", "minLength": 1, "maxLength": 1000},
        "keep": {"title": "Keep", "type": "integer", "minimum": 1, "maximum": 100000},
    }
    assert deployment._parameter_openapi_schema.required == ["target"]


def test_a_nightly_run_is_a_schedule_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.deployments import pipeline_deployment

    monkeypatch.setenv("TZ", "Europe/Berlin")
    (entry,) = pipeline_deployment(PLAN, "0 3 * * *").schedules
    assert (entry.schedule.cron, entry.schedule.timezone) == ("0 3 * * *", "Europe/Berlin")


@pytest.mark.parametrize(
    ("experiments", "frameworks", "targets"),
    [
        ([], [], ()),
        (["one", "two"], ["torch", "keras"], ()),
        (["two"], [], ("report@two",)),
        (["two"], ["keras", "torch"], ("report@two",)),
        (["two"], ["torch"], ("evaluate@two-torch",)),
        ([], ["keras"], ("evaluate@one-keras", "evaluate@two-keras")),
    ],
)
def test_choices_mean_targets_of_the_workspace(experiments: list[str], frameworks: list[str], targets: Any) -> None:
    from flows.run_request import experiment_targets

    assert experiment_targets(PLAN, experiments, frameworks) == targets


def test_what_is_not_in_the_plan_is_named_with_the_nearest() -> None:
    from flows.run_request import experiment_targets

    with pytest.raises(ParameterError) as error:
        experiment_targets(PLAN, ["three", "tow"], [])
    assert str(error.value) == "experiment 'three' is not in the suite of params.yaml; allowed: one, two"
    with pytest.raises(ParameterError, match="framework 'tensor' is not in the suite"):
        experiment_targets(PLAN, [], ["tensor"])
