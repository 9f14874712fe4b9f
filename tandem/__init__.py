"""Tandem declares a deep-learning experiment once and compares how Keras and PyTorch train it."""

__version__ = "0.1.0"
