"""The project: params.yaml, runs.yaml, and whether the suite's data can be had. No network is touched."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def probe(request: dict[str, str]) -> dict[str, Any]:
    """Read params.yaml as the stages do."""
    sys.path.append(request["source"])  # where the workspace holds no `tandem`
    from tandem.config import read_params
    from tandem.errors import ParameterError
    from tandem.plan import check_plan, make_plan

    try:
        params = read_params(Path(request["params"]))
    except ParameterError as error:
        return {"mistakes": str(error)}
    plan_error = ""
    try:
        check_plan(params, Path(request["runs"]))
    except ParameterError as error:
        plan_error = str(error)
    return {
        "experiments": list(params.suite.experiments),
        "frameworks": list(params.suite.frameworks),
        "plan_error": plan_error,
        "data": [_state(name, params.datasets[name], Path(request["raw"])) for name in make_plan(params).datasets],
    }


def _state(name: str, declared: Any, raw: Path) -> dict[str, str]:
    """Say whether a data set's files are there, or can be had."""
    source = importlib.import_module("tandem.datasets").source(declared.source.name)
    options = source.options.model_validate_json(json.dumps(declared.source.options, default=str))
    own = source.location(options)
    if own is not None:
        return {"dataset": name, "state": "local" if Path(own).exists() else "absent", "detail": str(own)}
    folder = raw / name
    if folder.is_dir() and any(folder.iterdir()):
        return {"dataset": name, "state": "fetched"}
    module = importlib.import_module(f"tandem.datasets.{declared.source.name}")
    if not hasattr(module, "fetch_file"):
        return {"dataset": name, "state": "local"}
    if os.environ.get("TANDEM_DATA"):
        return _try_fetching(name, source, options)
    sites = sorted({urlsplit(address).netloc for file in _remote_files(module) for address in file.addresses[:1]})
    return {"dataset": name, "state": "download", "detail": ", ".join(sites)}


def _try_fetching(name: str, source: Any, options: Any) -> dict[str, str]:
    """Fetch from the folder that TANDEM_DATA names, as the stage does, digests and all, and throw it away."""
    from tandem.errors import TandemError

    with tempfile.TemporaryDirectory() as folder:
        try:
            source.fetch(Path(folder), options)
        except TandemError as error:
            return {"dataset": name, "state": "refused", "detail": str(error)}
    return {"dataset": name, "state": "given", "detail": os.environ["TANDEM_DATA"]}


def _remote_files(module: Any) -> Iterator[Any]:
    from tandem.datasets.download import RemoteFile

    for value in vars(module).values():
        candidates = value if isinstance(value, (tuple, list)) else [value]
        yield from (candidate for candidate in candidates if isinstance(candidate, RemoteFile))
