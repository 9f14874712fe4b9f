"""The section on the parity ladder: how far the frameworks' arithmetic agrees, rung by rung."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tandem.parity.records import DTYPES, RUNGS, Dtype, LadderRecord, PairRecord, Rung, RungRecord
from tandem.parity.words import RUNG_TITLES, ladder_sentences, pair_sentences, power
from tandem.records import Number
from tandem.report.differences import DifferenceSection, pair_title
from tandem.report.formats import framework_title


@dataclass(frozen=True)
class LadderCell:
    """One rung of two frameworks in one number type."""

    text: str  # "3 · 10⁻¹⁶"
    value: Number  # that the table is sorted by
    reached: bool
    tolerance: str  # "10⁻¹²", or "equal"


@dataclass(frozen=True)
class LadderRow:
    """One rung, with a cell for each column."""

    title: str
    cells: tuple[LadderCell, ...]


@dataclass(frozen=True)
class LayerTable:
    """Where two frameworks part: the largest difference of each layer on each rung above the first."""

    pair: str
    rungs: tuple[str, ...]
    rows: tuple[tuple[str, tuple[LadderCell | None, ...]], ...]  # layer, cells by rung and number type


@dataclass(frozen=True)
class ParitySection:
    """The whole section."""

    sentences: tuple[str, ...]  # with what they climbed
    first: str
    others: tuple[str, ...]  # against the first
    dtypes: tuple[Dtype, ...]
    rows: tuple[LadderRow, ...]
    conclusions: tuple[str, ...]  # of full training, by other framework
    words: tuple[tuple[str, ...], ...]  # by other framework
    layers: tuple[LayerTable, ...]


def parity_section(ladder: LadderRecord | None, differences: DifferenceSection | None) -> ParitySection | None:
    """Return what the section shows; None where no two frameworks climbed.

    Args:
        ladder: how far the frameworks agree.
        differences: of full training, which is the last rung.
    """
    if ladder is None or not ladder.pairs:
        return None
    return ParitySection(
        sentences=ladder_sentences(ladder),
        first=framework_title(ladder.pairs[0].first),
        others=tuple(framework_title(pair.second) for pair in ladder.pairs),
        dtypes=DTYPES,
        rows=tuple(_row(rung, ladder.pairs) for rung in RUNGS),
        conclusions=tuple(_conclusion(pair, ladder, differences) for pair in ladder.pairs),
        words=tuple(pair_sentences(pair) for pair in ladder.pairs),
        layers=tuple(_layer_table(pair) for pair in ladder.pairs),
    )


def _row(rung: Rung, pairs: Iterable[PairRecord]) -> LadderRow:
    found = [_of(pair, rung, dtype) for pair in pairs for dtype in DTYPES]
    return LadderRow(
        RUNG_TITLES[rung], tuple(_cell(record.difference, record.tolerance, record.reached) for record in found)
    )


def _of(pair: PairRecord, rung: Rung, dtype: Dtype) -> RungRecord:
    return next(record for record in pair.rungs if (record.rung, record.dtype) == (rung, dtype))


def _cell(difference: Number, tolerance: float, reached: bool) -> LadderCell:
    text = "equal" if difference == 0 else power(difference)
    return LadderCell(text, difference, reached, power(tolerance) if tolerance else "equal")


def _conclusion(pair: PairRecord, ladder: LadderRecord, differences: DifferenceSection | None) -> str:
    """Say what full training over seeds shows of the main metric: the first of the section's rows of the pair."""
    if pair.second == ladder.witness:
        return "not trained: a witness"
    name = pair_title(pair.first, pair.second)
    rows = [row for row in differences.rows if row.pair == name] if differences is not None else []
    if not rows:
        return "one replicate shows nothing"
    if rows[0].conclusion == "too few replicates":
        return f"{rows[0].replicates} replicates are too few"
    return f"{rows[0].conclusion}, {rows[0].replicates} replicates"


def _layer_table(pair: PairRecord) -> LayerTable:
    rungs = RUNGS[1:]
    names = [layer.layer for layer in _of(pair, "outputs", "float64").layers]
    columns = [
        {layer.layer: _cell(layer.difference, record.tolerance, _within(layer.difference, record.tolerance))
         for layer in record.layers}
        for rung in rungs
        for dtype in DTYPES
        for record in (_of(pair, rung, dtype),)
    ]  # fmt: skip
    return LayerTable(
        pair=f"{framework_title(pair.first)} and {framework_title(pair.second)}",
        rungs=tuple(RUNG_TITLES[rung] for rung in rungs),
        rows=tuple((name, tuple(column.get(name) for column in columns)) for name in names),
    )


def _within(difference: Number, tolerance: float) -> bool:
    return difference is not None and difference <= tolerance
