"""Versions as tuples, for comparisons where the package ``packaging`` may be missing."""

from __future__ import annotations

import re


def release(version: str) -> tuple[int, ...]:
    """Return (2, 13, 0) for "2.13.0", "2.13.0+cpu" and "2.13.0rc1"; () for what is no version."""
    match = re.match(r"v?(?:\d+!)?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def same_release(one: str, other: str) -> bool:
    """Return whether two versions are the same but for their local part ("+cpu") and zeros at the end."""
    return _public(one) == _public(other)


def _public(version: str) -> tuple[tuple[int, ...], str]:
    public = version.partition("+")[0]
    match = re.match(r"v?(?:\d+!)?(\d+(?:\.\d+)*)(.*)", public)
    if not match:
        return (), public
    numbers = [int(part) for part in match[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), match[2]
