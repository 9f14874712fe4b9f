"""How the report writes numbers: four significant digits, MiB, seconds, and words for what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tandem import titles
from tandem.records import Interval, Number

MISSING = "–"
MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"  # between a number and its unit
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def framework_title(framework: str) -> str:
    """Return a framework's name as its authors write it; an unknown one as it comes."""
    return titles.FRAMEWORKS.get(framework, framework)


def metric_title(metric: str) -> str:
    """Return a metric's name as it is printed; an unknown one as it comes."""
    return titles.SHORT_METRICS.get(metric, metric)


def is_number(value: Number) -> bool:
    """Say whether ``value`` is there and finite."""
    return value is not None and math.isfinite(value)


def format_number(value: Number, digits: int = 4) -> str:
    """Return ``value`` with ``digits`` significant digits: "0.8800", "266,610", "–" if missing."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e15:
        return _scientific(value, digits)
    return _fixed(value, _decimals([value], digits))


def format_value(value: Number) -> str:
    """Return a raw value: a whole number without decimals ("59"), any other as ``format_number`` does."""
    if value is not None and abs(value) < 1e15 and float(value).is_integer():
        return _fixed(value, 0)
    return format_number(value)


def format_interval(interval: Interval | None, signed: bool = False) -> tuple[str, str]:
    """Return an estimate and its interval with the same decimals: ("0.8778", "0.8712 to 0.8841").

    Args:
        interval: the estimate; None or a missing value gives ("–", "").
        signed: a difference: write "+" before positive numbers, and three significant digits.
    """
    if interval is None or interval.value is None or not math.isfinite(interval.value):
        return MISSING, ""
    low, high = interval.low, interval.high
    known = [x for x in (interval.value, low, high) if x is not None and math.isfinite(x)]
    if 0 < max(map(abs, known)) < 1e-4:
        texts = [format_number(x, 3) for x in (interval.value, low, high)]
    else:
        decimals = _decimals(known, 3 if signed else 4)
        texts = [MISSING if x is None else _fixed(x, decimals) for x in (interval.value, low, high)]
    if signed:
        texts = [text if text[0] in f"{MINUS}{MISSING}" or not text.strip("0.") else f"+{text}" for text in texts]
    between = "" if low is None or high is None else f"{texts[1]} to {texts[2]}"
    return texts[0], between


def format_share(share: Number) -> str:
    """Return a share of one as a percentage: "98.3 %"."""
    return MISSING if share is None or not math.isfinite(share) else f"{100 * share:.1f}{SPACE}%"


def format_seconds(seconds: Number) -> str:
    """Return a duration: "12.3 ms", "4.56 s", "3 min 20 s", "2 h 5 min"."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 0.1:
        return f"{1000 * seconds:.3g}{SPACE}ms"
    if seconds < 99.95:
        return f"{seconds:.3g}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes}{SPACE}min {rest}{SPACE}s"
    return f"{minutes // 60}{SPACE}h {minutes % 60}{SPACE}min"


def format_bytes(size: Number) -> str:
    """Return a size in bytes as MiB: "512.3 MiB"."""
    return MISSING if size is None else f"{size / 2**20:,.1f}{SPACE}MiB"


def format_count(count: int | None) -> str:
    """Return a whole number with its thousands apart: "10,000"."""
    return MISSING if count is None else f"{count:,}"


def format_shape(shape: Iterable[int]) -> str:
    """Return a shape: "28 × 28"."""
    return " × ".join(str(size) for size in shape)


def format_p_value(p: float) -> str:
    """Return a p-value: "0.013", or "< 0.0001"."""
    return titles.format_p(p).removeprefix("= ")


def _decimals(values: Iterable[float], digits: int) -> int:
    """Decimals with which the largest of ``values`` has ``digits`` significant digits."""
    largest = max((abs(value) for value in values), default=0.0)
    if largest == 0:
        return 0
    return max(0, digits - 1 - math.floor(math.log10(largest)))


def _scientific(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{abs(value):.{digits - 1}e}".partition("e")
    power = str(int(exponent)).translate(SUPERSCRIPTS)
    return f"{MINUS if value < 0 else ''}{mantissa}{SPACE}×{SPACE}10{power}"


def _fixed(value: float, decimals: int) -> str:
    text = f"{abs(value):,.{decimals}f}"
    return MINUS + text if value < 0 and text.strip("0.,") else text
