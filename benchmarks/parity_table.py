"""Prints how far the frameworks agree in every experiment that has climbed: ``python -m benchmarks.parity_table``.

Reads what the stage ``ladder`` left in the workspace; ``docs/parity.md`` shows its table.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tandem.parity.records import DTYPES, LadderRecord, PairRecord
from tandem.parity.words import RUNG_TITLES, pair_sentences, power
from tandem.records import read_record
from tandem.titles import FRAMEWORKS

_SHOWN = ("gradients", "one_step", "ten_steps")


def rows(ladder: LadderRecord) -> list[str]:
    """Return a row of Markdown for each pair of frameworks."""
    return [_row(ladder.experiment, pair) for pair in ladder.pairs]


def _row(experiment: str, pair: PairRecord) -> str:
    found = {(rung.rung, rung.dtype): rung for rung in pair.rungs}
    cells = [
        f"{power(found[name, dtype].difference)} {'✓' if found[name, dtype].reached else '✗'}"
        for dtype in DTYPES
        for name in _SHOWN
    ]
    reached = all(rung.reached for rung in pair.rungs)
    words = "" if reached else " ".join(pair_sentences(pair)[1:])
    names = f"{FRAMEWORKS[pair.first]}, {FRAMEWORKS[pair.second]}"
    return f"| {experiment} | {names} | {' | '.join(cells)} | {words} |".replace("\N{NO-BREAK SPACE}", " ")


def main() -> int:
    """Print the table of all experiments in the workspace."""
    files = sorted(Path("ladder").glob("*.json"))
    if not files:
        print("error: no ladder here; run `tandem run` first", file=sys.stderr)
        return 1
    heads = [f"{dtype}: {RUNG_TITLES[name]}" for dtype in DTYPES for name in _SHOWN]
    print(f"| experiment | frameworks | {' | '.join(heads)} | why not |")
    print("|---" * (len(heads) + 3) + "|")
    for file in files:
        print("\n".join(rows(read_record(LadderRecord, file))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
