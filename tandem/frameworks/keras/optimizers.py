"""Optimisers as declared; Keras's constants are the aligned ones, so that both settings are the same here."""

from __future__ import annotations

import keras

from tandem.models import Adam, RmsProp, Sgd


def make_optimizer(declared: Sgd | Adam | RmsProp) -> keras.optimizers.Optimizer:
    """Return Keras's optimiser for a declaration."""
    if isinstance(declared, Sgd):
        return keras.optimizers.SGD(declared.learning_rate, momentum=declared.momentum, nesterov=declared.nesterov)
    if isinstance(declared, Adam):
        return keras.optimizers.Adam(declared.learning_rate, beta_1=declared.beta_1, beta_2=declared.beta_2)
    return keras.optimizers.RMSprop(declared.learning_rate, rho=declared.rho)
