"""The table of defaults holds for the installed frameworks, and is the one that the documents show."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tandem.parity.defaults import DEFAULTS, Default, defaults_table

FOLDER = Path(__file__).parent
REPOSITORY = FOLDER.parents[1]


def read_defaults(framework: str) -> dict[str, Any]:
    environment = dict(os.environ) | {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(FOLDER / "defaults_reader.py"), framework]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=["keras", "torch"])
def installed(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return request.param, read_defaults(request.param)


def changes(rows: tuple[Default, ...], framework: str, found: dict[str, Any]) -> Iterator[str]:
    for row in rows:
        for reading, told in getattr(row, f"{framework}_readings").items():
            if (type(found[reading]), found[reading]) != (type(told), told):
                yield (
                    f"the default '{row.item}' of {framework} has changed: {reading} is {found[reading]!r}, the table "
                    f"says {told!r}; look at what Tandem does about it, then correct tandem/parity/defaults.py"
                )


def test_no_default_of_the_installed_framework_has_changed(installed):
    framework, found = installed
    assert list(changes(DEFAULTS, framework, found)) == []


def test_a_changed_default_is_named_with_its_row(installed):
    framework, found = installed
    row = next(row for row in DEFAULTS if row.item == "SGD: learning rate")
    told = dict.fromkeys(getattr(row, f"{framework}_readings"), 0.5)
    (message,) = changes((replace(row, **{f"{framework}_readings": told}),), framework, found)
    assert message.startswith(f"the default 'SGD: learning rate' of {framework} has changed: ")
    assert "the table says 0.5; look at what Tandem does" in message


def test_every_row_is_aligned_or_named_and_read_from_a_framework():
    for row in DEFAULTS:
        assert row.tandem.startswith(("aligned: ", "named: ")), row.item
        assert row.keras_readings or row.torch_readings, row.item
    assert len({row.item for row in DEFAULTS}) == len(DEFAULTS) >= 28


def test_the_document_shows_the_table():
    assert defaults_table() in (REPOSITORY / "docs/parity.md").read_text(encoding="utf-8")
