"""docs/params.schema.json, which lets editors complete params.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tandem.config import params_schema

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = REPOSITORY / "docs" / "params.schema.json"
REGENERATE = (
    "docs/params.schema.json is out of date; write it again: python -c 'import json, pathlib; "
    'from tandem.config import params_schema; pathlib.Path("docs/params.schema.json")'
    '.write_text(json.dumps(params_schema(), indent=2) + "\\n")\''
)


def test_the_committed_schema_is_that_of_the_code():
    assert FILE.read_text(encoding="utf-8") == json.dumps(params_schema(), indent=2) + "\n", REGENERATE


def fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for owner, model in {"params": schema, **schema["$defs"]}.items():
        for name, field in model.get("properties", {}).items():
            yield f"{owner}.{name}", field


def test_every_field_says_its_type():
    schema = params_schema()
    found = dict(fields(schema))
    assert {"params.suite", "Training.epochs", "Dense.units", "Holdout.seeds"} <= set(found)
    untyped = [
        name for name, field in found.items() if not {"type", "enum", "const", "$ref", "anyOf", "oneOf"} & set(field)
    ]
    assert untyped == []


def test_every_mapping_refuses_unknown_keys_but_the_options_of_a_source():
    models = {"params": params_schema(), **params_schema()["$defs"]}
    open_models = [name for name, model in models.items() if model.get("additionalProperties") is not False]
    assert open_models == ["ColumnEntry", "SourceDeclaration"]  # the first may be a bare name, too


def resolve(schema: dict[str, Any], node: Any, value: Any) -> dict[str, Any]:
    """Follow references and choices to the schema of a mapping or list."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        elif "discriminator" in node:
            tag = value[node["discriminator"]["propertyName"]]
            node = {"$ref": node["discriminator"]["mapping"][tag]}
        elif "anyOf" in node:
            wanted = "array" if isinstance(value, list) else "object" if isinstance(value, dict) else None
            fits = [one for one in node["anyOf"] if "$ref" in one or one.get("type") == wanted]
            if wanted is None or not fits:
                return node
            node = fits[0]
        else:
            return node


def unknown_keys(schema: dict[str, Any], node: Any, value: Any, place: str = "") -> Iterator[str]:
    node = resolve(schema, node, value)
    if isinstance(value, dict):
        inner = next(iter(node.get("patternProperties", {}).values()), None) or node.get("additionalProperties")
        for key, item in value.items():
            if key in node.get("properties", {}):
                yield from unknown_keys(schema, node["properties"][key], item, f"{place}.{key}")
            elif isinstance(inner, dict):
                yield from unknown_keys(schema, inner, item, f"{place}.{key}")
            elif inner is not True:
                yield f"{place}.{key}"
    elif isinstance(value, list):
        for position, item in enumerate(value):
            prefix = node.get("prefixItems", [])
            items = prefix[position] if position < len(prefix) else node["items"]
            yield from unknown_keys(schema, items, item, f"{place}[{position}]")


@pytest.fixture
def committed() -> Any:
    return YAML(typ="safe").load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))


def test_the_schema_knows_every_key_of_the_committed_declaration(committed):
    assert list(unknown_keys(params_schema(), params_schema(), committed)) == []


def test_the_schema_does_not_know_a_key_that_does_not_exist(committed):
    committed["experiments"]["digits-mlp"]["training"]["epoch"] = 1
    committed["experiments"]["digits-mlp"]["optimizer"]["beta_1"] = 0.9  # sgd has none
    assert list(unknown_keys(params_schema(), params_schema(), committed)) == [
        ".experiments.digits-mlp.optimizer.beta_1",
        ".experiments.digits-mlp.training.epoch",
    ]
