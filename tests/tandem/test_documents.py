"""What the documents point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_relative_links_lead_to_files(document):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8"))
    made = "../reports/"  # by a run; the pages are not committed
    files = [link for link in links if "://" not in link and not link.startswith(made)]
    missing = [link for link in files if not (document.parent / link).exists()]
    assert not missing


def test_every_make_target_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)`", (REPOSITORY / "README.md").read_text(encoding="utf-8")))
    assert named
    assert named <= targets


def test_every_command_that_the_readme_names_exists():
    from flows.command_line import app

    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    named = set(re.findall(r"`tandem ([a-z]+)", (REPOSITORY / "README.md").read_text(encoding="utf-8")))
    assert named
    assert named <= commands
