"""Installed packages, what they require, and the pins of constraints.txt."""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tandem.doctor.facts import Distribution, Packages, Unmet

OWN_NAME = "tandem"
# Distributions that all write the folder "tensorflow".
TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-rocm", "tf-nightly", "tf-nightly-cpu")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;#]+)")


def canonical(name: str) -> str:
    """Return a package's name in lower case with "-" between words (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def search_path(source: Path) -> list[str]:
    """Return the folders in which Python finds packages, but for the source tree.

    A source tree may hold the ``.egg-info`` of an installation made from it, perhaps into another interpreter.
    """
    return [entry for entry in sys.path if Path(entry or ".").resolve() != source.resolve()]


def gather_packages(source: Path, constraints: Path) -> Packages:
    """Return what is installed in this interpreter.

    Args:
        source: folder of Tandem's source.
        constraints: the file with the pins; it need not be there.
    """
    found = list(_distributions(search_path(source)))
    packages = tuple(
        Distribution(canonical(entry.metadata["Name"]), str(entry.version), str(entry.locate_file("")))
        for entry in found
    )
    first: dict[str, metadata.Distribution] = {}
    for entry in found:
        first.setdefault(canonical(entry.metadata["Name"]), entry)
    requirements = {name: tuple(entry.requires or ()) for name, entry in first.items()}
    if OWN_NAME not in requirements:
        requirements[OWN_NAME] = _declared_requirements(source / "pyproject.toml")
    pins = read_pins(constraints)
    versions = {name: str(entry.version) for name, entry in first.items()}
    try:
        requirement_type = _requirement_type()
    except ImportError as error:
        absent = tuple(_absent_packages(OWN_NAME, requirements[OWN_NAME], versions))
        return Packages(packages, pins, absent, unchecked=str(error))
    return Packages(packages, pins, tuple(unmet_requirements(requirements, versions, requirement_type)))


def read_pins(constraints: Path) -> dict[str, str]:
    """Return the pinned version by package."""
    try:
        lines = constraints.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    matches = (_PIN.match(line) for line in lines)
    return {canonical(match[1]): match[2] for match in matches if match}


def unmet_requirements(
    requirements: Mapping[str, Iterable[str]], versions: Mapping[str, str], requirement_type: Any
) -> Iterator[Unmet]:
    """Return the requirements that the installed versions do not meet, extras left out, as `pip check` does."""
    for package, texts in sorted(requirements.items()):
        for text in texts:
            try:
                requirement = requirement_type(text)
                applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            except Exception:  # noqa: S112  (a requirement that packaging cannot read is none that can be checked)
                continue
            name = canonical(requirement.name)
            found = versions.get(name, "")
            if applies and not (found and requirement.specifier.contains(found, prereleases=True)):
                yield Unmet(package, f"{requirement.name}{requirement.specifier}", name, found)


def _absent_packages(package: str, texts: Iterable[str], versions: Mapping[str, str]) -> Iterator[Unmet]:
    """Return requirements of which nothing is installed, by their names alone; those with conditions left out."""
    for text in texts:
        match = _NAME.match(text)
        if match and ";" not in text and canonical(match[0]) not in versions:
            yield Unmet(package, text, canonical(match[0]))


def installed_source(source: Path) -> tuple[str, str]:
    """Return the version of Tandem in this interpreter and the folder that an editable installation points at."""
    for entry in _distributions(search_path(source)):
        if canonical(entry.metadata["Name"]) == OWN_NAME:
            return str(entry.version), _editable_folder(entry)
    return "", ""


def _editable_folder(entry: metadata.Distribution) -> str:
    try:
        origin = json.loads(entry.read_text("direct_url.json") or "{}")
    except ValueError:
        return ""
    if not origin.get("dir_info", {}).get("editable"):
        return ""
    return unquote(urlsplit(origin.get("url", "")).path)


def _distributions(path: list[str]) -> Iterator[metadata.Distribution]:
    """Return the installed packages, those without a name (left over by a broken installation) left out."""
    for entry in metadata.distributions(path=path):
        if entry.metadata["Name"]:
            yield entry


def _requirement_type() -> Any:
    """Return packaging's Requirement, or the one inside pip."""
    for name in ("packaging.requirements", "pip._vendor.packaging.requirements"):
        try:
            return importlib.import_module(name).Requirement
        except ImportError:
            continue
    raise ImportError("neither the package packaging nor pip is installed")


def _declared_requirements(pyproject: Path) -> tuple[str, ...]:
    for name in ("tomllib", "pip._vendor.tomli"):  # the first from Python 3.11 on
        with contextlib.suppress(ImportError, OSError, KeyError, ValueError):
            reader = importlib.import_module(name)
            return tuple(reader.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"])
    return ()
