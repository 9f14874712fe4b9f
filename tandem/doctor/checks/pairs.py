"""Pairs of versions that install together and are known not to work together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tandem.doctor.facts import Facts
from tandem.doctor.findings import Finding, SectionTitle
from tandem.doctor.remedies import install
from tandem.doctor.versions import release

SECTION: SectionTitle = "Packages"
ORDER = 2


@dataclass(frozen=True)
class BadPair:
    """A package of one version that fails with another from a version on; what happens then."""

    package: str
    version: tuple[int, ...]  # the beginning of its versions: (3, 8) is 3.8.*
    other: str
    since: tuple[int, ...]
    consequence: str
    blocks: bool  # whether `tandem run` fails


BAD_PAIRS = (
    BadPair(
        "prefect", (3, 8), "fastapi", (0, 165),
        "Prefect's server does not start (\"Body() got an unexpected keyword argument 'min_items'\")", True,
    ),
    BadPair(
        "prefect", (3, 8), "sqlalchemy", (2, 1),
        "Prefect's scheduler fails (\"Can't evaluate bulk DML statement\") and no schedule starts a run", False,
    ),
)  # fmt: skip


def check(facts: Facts) -> Iterator[Finding]:
    """Look for the known ones."""
    for pair in BAD_PAIRS:
        version, other = facts.packages.version(pair.package), facts.packages.version(pair.other)
        if version and other and _matches(pair, version, other):
            pin = facts.packages.pins.get(pair.other)
            bound = f"{pair.other}=={pin}" if pin else f"{pair.other}<{'.'.join(map(str, pair.since))}"
            yield Finding(
                "problem" if pair.blocks else "warning",
                pair.package,
                f"{pair.package} {version} does not work with {pair.other} {other}: {pair.consequence}",
                f"Install a {pair.other} that works with it:",
                install(facts, bound),
            )


def _matches(pair: BadPair, version: str, other: str) -> bool:
    return release(version)[: len(pair.version)] == pair.version and release(other) >= pair.since
