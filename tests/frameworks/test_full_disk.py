"""A native model file that the system does not let grow is told in one line, whichever library writes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hermetic import hermetic_environment

SAVE = """
import sys
from pathlib import Path
from tandem.errors import StorageError
from tandem.frameworks import load_framework
from tandem.models import ModelDeclaration, resolve
from tandem.storage import new_directory
name, folder = sys.argv[1:]
framework = load_framework(name, alone=True)
framework.set_up(1)
declaration = ModelDeclaration.model_validate_json('{"sequential": [{"dense": {"units": 200}}]}')
network = framework.build(resolve(declaration, (200,), "regression", "mse", 0), seed=0, constants="aligned")
try:
    with new_directory(Path(folder)) as directory:
        framework.save(network, directory)
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_a_model_file_larger_than_the_limit_leaves_nothing(tmp_path: Path, framework: str) -> None:
    """The network takes 160 kB, a file may take 20 (RLIMIT_FSIZE)."""
    models = tmp_path / "models"
    models.mkdir()
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 20; exec "$@"', "bash", sys.executable, "-c", SAVE, framework, str(models / "new")],
        env=hermetic_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == (
        f"{models / 'new'}: cannot be written (File too large); nothing was kept of it; "
        "make the folder writable and run again"
    )
    assert not list(models.iterdir())
