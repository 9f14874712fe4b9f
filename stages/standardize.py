"""Fits the scalers of one data set on its training rows: ``python -m stages.standardize DATASET``.

Writes the scalers and the ranges before and after; whoever loads rows applies them.
"""

from __future__ import annotations

import sys

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem.config import read_dataset
from tandem.missing import fill_missing, fit_fill
from tandem.records import DataDescription, read_record, write_record
from tandem.scaling import fit_scaler, summarize_scaling
from tandem.storage import load_array, new_directory


def main(arguments: list[str]) -> None:
    """Fit a scaler for each fold; codes of categories stay as they are."""
    (name,) = take_arguments(arguments, "standardize", "DATASET")
    declared = read_dataset(paths.PARAMS, name)
    fit = paths.fit(name)
    description = read_record(DataDescription, fit / "description.json")
    features = load_array(fit / "features.npy")
    with new_directory(paths.scaler(name)) as directory:
        for folder in sorted((fit / "folds").iterdir()):
            rows = load_array(folder / "train.npy")
            fill = fit_fill(features, rows, description.columns)
            known = fill_missing(features, fill)
            fitted = fit_scaler(known, rows, declared.standardize, description.categorical)
            scaler = fitted.model_copy(update={"fill": fill})
            write_record(scaler, directory / f"fold-{folder.name}.json")
            if folder.name == "0":
                summary = summarize_scaling(known, rows, scaler, description.feature_names)
                write_record(summary, directory / "summary.json")


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
