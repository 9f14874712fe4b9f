"""Runs and report pages for the tests of publishing, and what a reader finds in a site."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tandem.report.site import MainMetric, PublishedRun

START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def make_run(run_id: str = "first", *, minutes: int = 0, **fields: Any) -> PublishedRun:
    """Return a run of one experiment in both frameworks that started some minutes after START."""
    started = START + timedelta(minutes=minutes)
    made = {
        "id": run_id,
        "name": f"name-of-{run_id}",
        "started": started,
        "finished": started + timedelta(seconds=75),
        "outcome": "completed",
        "experiments": ("digits-mlp",),
        "frameworks": ("keras", "torch"),
        "metrics": metrics("digits-mlp", keras=0.961, torch=0.972),
    }
    return PublishedRun(**{**made, **fields})


def metrics(experiment: str, metric: str = "accuracy", **values: float | None) -> tuple[MainMetric, ...]:
    return tuple(
        MainMetric(experiment=experiment, framework=framework, metric=metric, value=value)
        for framework, value in values.items()
    )


def make_pages(folder: Path, *names: str, text: str = "report") -> list[Path]:
    """Write small report pages with the link that genuine ones have."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = [folder / f"{name}.html" for name in names or ("digits-mlp",)]
    for page in pages:
        page.write_text(
            '<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,">'
            f"<title>{page.stem}</title><h1>{text} ü {page.stem}</h1>"
            '<a href="index.html">all experiments</a>',
            encoding="utf-8",
        )
    return pages


def listed(site: Path) -> list[str]:
    """Return the ids on a site's index in its order, after checking that all its links lead somewhere."""
    source = (site / "index.html").read_text(encoding="utf-8")
    for address in re.findall(r'href="([^"#:]+)"', source):
        assert (site / address).is_file(), address
    return re.findall(r'<th scope="row"[^>]*><a class="one-line" href="runs/([^/]+)/index.html"', source)


def check_whole(site: Path) -> None:
    """Check that every run on the index has the pages that it names, byte for byte."""
    for run_id in listed(site):
        folder = site / "runs" / run_id
        record = json.loads((folder / "run.json").read_bytes())
        found = {
            page.stem: hashlib.sha256(page.read_bytes()).hexdigest()
            for page in folder.glob("*.html")
            if page.stem != "index"
        }
        assert found == record["pages"]


def leftovers(site: Path) -> list[Path]:
    """Return what is neither the index, the lock, nor a file of a finished run."""
    return [
        path
        for path in site.rglob("*")
        if path.is_file()
        and not re.fullmatch(r"index\.html|\.publishing\.lock|runs/[a-z0-9-]+/([a-z0-9-]+\.html|run\.json)",
                             path.relative_to(site).as_posix())
    ]  # fmt: skip
