"""Prefect is set up for this project and never for the user's cloud."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hermetic import REPOSITORY

from flows.prefect_settings import settings


def test_the_users_server_and_profile_are_not_inherited(tmp_path: Path) -> None:
    values = settings(tmp_path, {"PREFECT_API_URL": "https://cloud.example/api", "PREFECT_API_KEY": "k"})
    assert values["PREFECT_API_URL"] is None
    assert values["PREFECT_API_KEY"] is None
    assert values["PREFECT_PROFILE"] is None
    assert values["PREFECT_HOME"] == str(tmp_path / ".prefect")
    assert values["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert values["DVC_NO_ANALYTICS"] == "1"


def test_a_server_can_be_named(tmp_path: Path) -> None:
    values = settings(tmp_path, {"TANDEM_PREFECT_API_URL": "http://127.0.0.1:4200/api"})
    assert values["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"


def in_fresh_process(tmp_path: Path, code: str, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"} | environment,
    )  # fmt: skip
    return ended.stdout + ended.stderr


def test_prefect_reads_what_was_applied(tmp_path: Path) -> None:
    (tmp_path / ".prefect").mkdir()
    (tmp_path / ".prefect/profiles.toml").write_text("", encoding="utf-8")
    home = tmp_path / "user"
    home.mkdir()
    (home / "profiles.toml").write_text(
        'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "https://cloud.example/api"\n', encoding="utf-8"
    )
    code = (
        "import sys; from pathlib import Path; from flows import prefect_settings; "
        "assert 'prefect' not in sys.modules; prefect_settings.apply(Path.cwd()); "
        "from prefect.settings import get_current_settings as s; "
        "x = s(); print(x.api.url, x.home, x.server.analytics_enabled, "
        "x.server.ephemeral.startup_timeout_seconds)"
    )
    said = in_fresh_process(tmp_path, code, PREFECT_HOME=str(home), PREFECT_API_KEY="k")
    assert said.strip() == f"None {tmp_path / '.prefect'} False 90"


def test_a_foreign_server_is_refused_if_prefect_is_imported_already(tmp_path: Path) -> None:
    code = (
        "import prefect; from pathlib import Path; from flows import prefect_settings; "
        "prefect_settings.apply(Path.cwd())"
    )
    said = in_fresh_process(tmp_path, code, PREFECT_API_URL="https://cloud.example/api")
    assert "SettingsError: Prefect is set to https://cloud.example/api" in said


def test_the_display_and_the_runner_do_not_import_prefect(tmp_path: Path) -> None:
    code = "import sys, flows.run, flows.progress, dvcgraph.schedule; print('prefect' in sys.modules)"
    assert in_fresh_process(tmp_path, code).strip() == "False"
