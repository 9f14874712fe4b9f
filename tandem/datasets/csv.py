"""A text table of one's own: comma-separated or alike, with a header line."""

from __future__ import annotations

from pydantic import Field

from tandem.datasets.tables import TableOptions, TableSource
from tandem.records import TableFormat


class CsvOptions(TableOptions):
    """How the text is written, besides what every table takes."""

    delimiter: str = Field(default=",", min_length=1, max_length=1, description="Between the cells.")
    encoding: str = Field(default="utf-8", description="As Python names it; a byte order mark is skipped.")
    decimal: str = Field(default=".", min_length=1, max_length=1, description="Before the decimals.")
    na_values: tuple[str, ...] = Field(
        default=TableFormat().na_values, description="Cells that mean a missing value, an empty one among them."
    )

    @property
    def format(self) -> TableFormat:
        """How the file is written."""
        return TableFormat(
            delimiter=self.delimiter, encoding=self.encoding, decimal=self.decimal, na_values=self.na_values
        )


SOURCE = TableSource(options=CsvOptions)
