"""How the sentences write numbers."""

from __future__ import annotations

import math

from tandem.records import Number

_MINUS = "\N{MINUS SIGN}"
_SPACE = "\N{NO-BREAK SPACE}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_number(value: Number) -> str:
    """Return four significant digits, or three and a power of ten outside 0.0001 to 1,000,000."""
    if value is None or not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    sign = _MINUS if value < 0 else ""
    if 1e-4 <= abs(value) < 1e6:
        digits = max(0, 3 - math.floor(math.log10(abs(value))))
        return f"{sign}{abs(value):,.{digits}f}"
    mantissa, _, exponent = f"{abs(value):.2e}".partition("e")
    power = str(int(exponent)).translate(_SUPERSCRIPTS)
    return f"{sign}{mantissa}{_SPACE}×{_SPACE}10{power}"


def format_percent(share: float) -> str:
    """Return a share as a percentage: "3.1 %", "-0.5 %", "1,250 %"."""
    size = abs(100 * share)
    text = f"{size:.1f}" if size < 99.95 else f"{size:,.0f}" if size < 1e6 else format_number(size)
    sign = _MINUS if share < 0 and text.strip("0.") else ""
    return f"{sign}{text}{_SPACE}%"


def format_signed_percent(share: float) -> str:
    """Return a share as a percentage with its sign; zero has none."""
    text = format_percent(share)
    return f"+{text}" if share > 0 and not text.startswith("0.0") else text


def format_times(ratio: float) -> str:
    """Return a factor: "12.3 times"."""
    if ratio < 1e3:
        return f"{ratio:.3g} times"
    return (
        f"{format_number(ratio)} times"
        if math.isfinite(ratio)
        else f"more than 10{'308'.translate(_SUPERSCRIPTS)} times"
    )
