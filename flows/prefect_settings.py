"""Prefect's settings for this project: a home of its own, and never the user's cloud by accident.

Prefect reads its settings when it is imported, so :func:`apply` comes before that; this module itself does
not import it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tandem.errors import TandemError

API_URL_VARIABLE = "TANDEM_PREFECT_API_URL"
DATABASE_VARIABLE = "TANDEM_PREFECT_DATABASE_URL"

# What would lead to somebody else's server or database.
_NOT_INHERITED = (
    "PREFECT_API_URL",
    "PREFECT_API_KEY",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_CLIENT_CUSTOM_HEADERS",
    "PREFECT_PROFILE",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
)
_API_EXAMPLE = "it looks like http://127.0.0.1:4200/api"
_DATABASES = ("postgresql+asyncpg", "sqlite+aiosqlite")
_DATABASE_EXAMPLE = "it looks like postgresql+asyncpg://USER:PASSWORD@127.0.0.1:5432/prefect"
_LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1", "0.0.0.0"}  # noqa: S104 - compared, not bound


class SettingsError(TandemError):
    """Prefect was imported with settings that are not this project's, or a variable of ours is wrong."""


def settings(project: Path, environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return the environment variables to set, or with ``None`` to unset, before Prefect is imported.

    Without TANDEM_PREFECT_API_URL a run starts a server of its own, which ends with the process. Its database is
    a file of SQLite, or the one that TANDEM_PREFECT_DATABASE_URL names.

    Raises:
        SettingsError: one of the two is no URL that Prefect could use.
    """
    home = home_of(project)
    variables: dict[str, str | None] = dict.fromkeys(_NOT_INHERITED)
    variables |= {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # The console shows the stages; the log of the run, in Prefect's database, keeps every line.
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "DVC_NO_ANALYTICS": "1",
    }
    url = environment.get(API_URL_VARIABLE)
    if url:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"{API_URL_VARIABLE}: '{url}' is no address of a server; {_API_EXAMPLE}")
        variables["PREFECT_API_URL"] = url.rstrip("/")
    database = environment.get(DATABASE_VARIABLE)
    if database:
        if urlsplit(database).scheme not in _DATABASES:
            # The URL may hold a password: it is not repeated.
            raise SettingsError(f"{DATABASE_VARIABLE} names no database that Prefect can use; {_DATABASE_EXAMPLE}")
        variables["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
    return variables


def home_of(project: Path) -> Path:
    """Return the folder that Prefect uses as its home in this project."""
    return project.resolve() / ".prefect"


def apply(project: Path) -> None:
    """Set Prefect's settings for this process and its children.

    If Prefect is imported already (in a process that Prefect started, or in a test), its settings stand, as
    long as they name a server on this machine or the one of TANDEM_PREFECT_API_URL.

    Raises:
        SettingsError: Prefect is imported already, with somebody else's server.
    """
    if "prefect" in sys.modules:
        _require_own_server()
        return
    for name, value in settings(project, os.environ).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _require_own_server() -> None:
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    if url is None or url == os.environ.get(API_URL_VARIABLE) or urlsplit(url).hostname in _LOCAL_HOSTS:
        return
    raise SettingsError(
        f"Prefect is set to {url}, which is not on this machine; "
        f"set {API_URL_VARIABLE} to use it, or unset PREFECT_API_URL"
    )
