"""Importing without collecting garbage, and without what an importer can do without."""

import gc
import importlib
import subprocess
import sys

import pytest

from tandem.imports import quick_imports


def test_a_withheld_package_is_as_if_not_installed_and_is_there_again_afterwards():
    sys.modules.pop("wsgiref", None)
    with quick_imports(["wsgiref"]), pytest.raises(ModuleNotFoundError, match=r"^wsgiref is withheld from this"):
        importlib.import_module("wsgiref")
    importlib.import_module("wsgiref")


def test_garbage_is_collected_again_after_an_import_that_failed():
    with pytest.raises(ModuleNotFoundError):
        _import_without_collecting("no_such_package")
    assert gc.isenabled()


def test_collection_that_was_off_stays_off():
    gc.disable()
    try:
        _import_without_collecting("json")
        assert not gc.isenabled()
    finally:
        gc.enable()


def _import_without_collecting(package):
    with quick_imports():
        assert not gc.isenabled()
        importlib.import_module(package)


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_a_process_for_a_framework_alone_imports_nothing_to_draw_or_wrap_with(framework):
    code = (
        "import sys\nfrom tandem.frameworks import load_framework\n"
        f"load_framework('{framework}', alone=True)\n"
        "print(sorted({'matplotlib', 'pandas', 'sklearn'} & set(sys.modules)))\n"
        "import sklearn, pandas, matplotlib"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
