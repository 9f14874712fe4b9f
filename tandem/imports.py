"""Importing large packages in less time."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from typing import Any


@contextlib.contextmanager
def quick_imports(withheld: Sequence[str] = ()) -> Iterator[None]:
    """Import without collecting garbage: an import makes a lot that stays and little that goes.

    Args:
        withheld: packages that cannot be imported meanwhile, for importers that take them if they are there and go
            without them otherwise. One that is imported already is not withheld.
    """
    gc.collect()  # what is garbage now would be kept for good
    withholding, collecting = _Withholding(withheld), gc.isenabled()
    sys.meta_path.insert(0, withholding)
    gc.disable()
    try:
        yield
    finally:
        sys.meta_path.remove(withholding)
        gc.freeze()  # modules stay: no collection need look at them again
        if collecting:
            gc.enable()


class _Withholding(MetaPathFinder):
    """Says of packages that they are not installed."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages

    def find_spec(self, fullname: str, *_: Any) -> None:
        """Find nothing, so that the next finder is asked.

        Raises:
            ModuleNotFoundError: for the packages that are withheld.
        """
        if fullname in self._packages:
            raise ModuleNotFoundError(f"{fullname} is withheld from this import", name=fullname)
