"""A table of one's own in a Parquet file."""

from __future__ import annotations

from tandem.datasets.tables import TableOptions, TableSource

SOURCE = TableSource(options=TableOptions)
