"""Hyper-parameter search: spaces, strategies that propose settings, and the loop that has them trained."""
