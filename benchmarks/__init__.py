"""Measurements as ratios: both sides in one run on one machine, at equal results."""
