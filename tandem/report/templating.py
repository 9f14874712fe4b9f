"""The environment in which all pages are made: everything is escaped, and a name that is not there is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tandem import titles
from tandem.report import formats
from tandem.report.records import is_diverged


def page_environment(**filters: Callable[..., Any]) -> Environment:
    """Return an environment with the filters that every page uses, and more."""
    environment = Environment(
        loader=PackageLoader("tandem.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        framework=formats.framework_title,
        metric=formats.metric_title,
        number=formats.format_number,
        interval=formats.format_interval,
        seconds=formats.format_seconds,
        count=formats.format_count,
        listing=titles.listing,
        **filters,
    )
    environment.tests["diverged"] = is_diverged
    return environment
