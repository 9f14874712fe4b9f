"""The defaults of Keras 3 and PyTorch that differ, and what Tandem does about each.

One table, from which ``docs/parity.md`` shows the words, and whose readings ``tests/frameworks/test_defaults.py`` takes
from the installed frameworks: it fails when a default has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Reading = bool | int | float | str | list[int] | list[float] | None


@dataclass(frozen=True)
class Default:
    """One row.

    Attributes:
        item: what it is about.
        keras, torch: what each framework does, in words.
        tandem: what Tandem does with ``constants: aligned``, or how it names the difference.
        keras_readings, torch_readings: what to look at in the installed framework, and what is found there:
            "module.function(parameter)" is that parameter's default, any other text names a probe of the test.
    """

    item: str
    keras: str
    torch: str
    tandem: str
    keras_readings: Mapping[str, Reading] = field(default_factory=dict)
    torch_readings: Mapping[str, Reading] = field(default_factory=dict)


DEFAULTS: tuple[Default, ...] = (
    Default(
        "dense weights and bias",
        "Glorot uniform, zeros",
        "U(±1/√inputs) for both",
        "aligned: drawn once in NumPy, loaded into both",
        {"keras.layers.Dense(kernel_initializer)": "glorot_uniform", "keras.layers.Dense(bias_initializer)": "zeros"},
        {"bound of a linear layer's initial weights and bias, times √inputs": [1.0, 1.0]},
    ),
    Default(
        "kernel layout",
        "(inputs, units)",
        "(units, inputs)",
        "aligned: transposed on loading; arrays are named and shown in Keras’s layout",
        {"shape of a dense kernel of 4 inputs and 3 units": [4, 3]},
        {"shape of a linear layer's weight of 4 inputs and 3 units": [3, 4]},
    ),
    Default(
        "seeded initialiser",
        "the same values at each call",
        "the stream goes on",
        "aligned: each array has a stream of its own, keyed by seed and position",
        {"a seeded initialiser gives the same values twice": True},
        {"a seeded generator gives the same values twice": False},
    ),
    Default(
        "batch normalisation: momentum, ε",
        "0.99, 1e-3",
        "0.1, 1e-5",
        "aligned: PyTorch’s momentum is 1 − Keras’s; Keras’s ε",
        {
            "keras.layers.BatchNormalization(momentum)": 0.99,
            "keras.layers.BatchNormalization(epsilon)": 0.001,
        },
        {"torch.nn.BatchNorm1d(momentum)": 0.1, "torch.nn.BatchNorm1d(eps)": 1e-05},
    ),
    Default(
        "batch normalisation: running variance",
        "biased",
        "unbiased, n/(n−1)",
        "aligned: biased, in a layer of our own in PyTorch",
        {"running variance of a batch of 0 and 2": 1.0},
        {"running variance of a batch of 0 and 2": 2.0},
    ),
    Default(
        "batch normalisation of a batch of one",
        "runs",
        "raises",
        "aligned: runs in both",
        {"a batch of one row is normalised": True},
        {"a batch of one row is normalised": False},
    ),
    Default(
        "layer normalisation: ε",
        "1e-3",
        "1e-5",
        "aligned: Keras’s",
        {"keras.layers.LayerNormalization(epsilon)": 0.001},
        {"torch.nn.LayerNorm(eps)": 1e-05},
    ),
    Default(
        "SGD: learning rate",
        "0.01",
        "0.001",
        "aligned: params.yaml must declare it",
        {"keras.optimizers.SGD(learning_rate)": 0.01},
        {"torch.optim.SGD(lr)": 0.001},
    ),
    Default(
        "SGD: momentum",
        "v ← μv − ηg; w ← w + v",
        "b ← μb + g; w ← w − ηb",
        "aligned: Keras’s formula in both; the two are equal at a constant rate only",
        {"weight after two steps of momentum 0.5 at rates 1 and 0.1": -1.6},
        {"weight after two steps of momentum 0.5 at rates 1 and 0.1": -1.15},
    ),
    Default(
        "Adam: ε",
        "1e-7, beside the root of the uncorrected moment",
        "1e-8, after the bias correction",
        "aligned: Keras’s formula, in an optimiser of our own in PyTorch",
        {"keras.optimizers.Adam(epsilon)": 1e-07, "Adam's first step with ε as large as the gradient": 0.0307},
        {"torch.optim.Adam(eps)": 1e-08, "Adam's first step with ε as large as the gradient": 0.5},
    ),
    Default(
        "Adam: powers of β",
        "β rounded to float32, in float64 too",
        "float64",
        "aligned: β rounded to float32 in the powers",
        {"Adam's first step in float64 is exact": False},
        {"Adam's first step in float64 is exact": True},
    ),
    Default(
        "RMSprop",
        "rate 1e-3, ρ 0.9, ε 1e-7 inside the root",
        "rate 1e-2, α 0.99, ε 1e-8 outside the root",
        "aligned: Keras’s formula and ε in both; rate and ρ are declared",
        {
            "keras.optimizers.RMSprop(learning_rate)": 0.001,
            "keras.optimizers.RMSprop(rho)": 0.9,
            "keras.optimizers.RMSprop(epsilon)": 1e-07,
            "RMSprop's first step without memory, gradient 1, ε 3": 0.5,
        },
        {
            "torch.optim.RMSprop(lr)": 0.01,
            "torch.optim.RMSprop(alpha)": 0.99,
            "torch.optim.RMSprop(eps)": 1e-08,
            "RMSprop's first step without memory, gradient 1, ε 3": 0.25,
        },
    ),
    Default(
        "weight decay",
        "decoupled, in every optimiser",
        "added to the gradient, except in AdamW",
        "named: not offered; a penalty is declared on a layer instead",
        {"weight after Adam without gradient, decay and rate 0.1": 0.99},
        {
            "weight after Adam without gradient, decay and rate 0.1": 0.9,
            "weight after AdamW without gradient, decay and rate 0.1": 0.99,
        },
    ),
    Default(
        "L2 penalty λ",
        "λ Σw² in the loss",
        "none; weight_decay λ adds λw to the gradient",
        "aligned: 2λw is added to the gradients of kernels in both; reported losses are without it",
        {"L2 penalty of 0.1 on a weight of 2": 0.4},
        {"weight of 2 after SGD at rate 1, decay 0.1": 1.8},
    ),
    Default(
        "LSTM: parameters, 3 inputs and 4 units",
        "one bias, 128",
        "two biases, 144",
        "aligned: the second bias is zero and not trained",
        {"parameters of an LSTM": 128},
        {"parameters of an LSTM": 144},
    ),
    Default(
        "LSTM: gates",
        "input, forget, cell, output; forget bias 1",
        "the same order; no forget bias",
        "aligned: one order; Keras’s forget bias",
        {"keras.layers.LSTM(unit_forget_bias)": True, "places of an LSTM's forget and output gates": [1, 3]},
        {"an LSTM's forget bias begins at": 0.0, "places of an LSTM's forget and output gates": [1, 3]},
    ),
    Default(
        "GRU: gates",
        "update, reset, candidate; reset after the product",
        "reset, update, candidate; reset after the product",
        "aligned: reordered on loading",
        {"keras.layers.GRU(reset_after)": True, "place of a GRU's update gate": 0},
        {"place of a GRU's update gate": 1},
    ),
    Default(
        "recurrent and embedding initialisers",
        "orthogonal; uniform ±0.05",
        "uniform ±1/√units; standard normal",
        "aligned: drawn once in NumPy",
        {
            "keras.layers.LSTM(recurrent_initializer)": "orthogonal",
            "keras.layers.Embedding(embeddings_initializer)": "uniform",
            "bound of an embedding's initial values": 0.05,
        },
        {
            "bound of an LSTM's recurrent weights, times √units": 1.0,
            "standard deviation of an embedding's initial values": 1.0,
        },
    ),
    Default(
        "convolution: kernel and layout",
        "(height, width, in, out), channels last",
        "(out, in, height, width), channels first",
        "aligned: channels last everywhere; kernels transposed on loading, so that flattening keeps its order",
        {"shape of a 2 × 3 convolution's kernel, 4 to 5 channels": [2, 3, 4, 5], "layout of images": "channels_last"},
        {"shape of a 2 × 3 convolution's kernel, 4 to 5 channels": [5, 4, 2, 3]},
    ),
    Default(
        "padding 'same' with stride 2; average pooling at the edge",
        "more after than before; padding not counted",
        "refused; padding counted",
        "aligned: padded by hand as Keras does; padding not counted",
        {
            "sums of three with stride 2, padding 'same', over 1 to 4": [6.0, 7.0],
            "means of two, padding 'same', over 1 to 3": [1.5, 3.0],
        },
        {
            "a convolution takes padding 'same' with stride 2": False,
            "torch.nn.AvgPool2d(count_include_pad)": True,
        },
    ),
    Default(
        "gradient clipping by norm",
        "clipnorm: each variable by itself",
        "clip_grad_norm_: all together",
        "aligned: clip_norm is over all arrays together, one formula in both",
        {"gradients 3 and 4 of two variables, clipped to norm 1": [1.0, 1.0]},
        {"gradients 3 and 4 of two variables, clipped to norm 1": [0.6, 0.8]},
    ),
    Default(
        "dropout",
        "a generator in each layer",
        "the global generator",
        "named: never equal; switched off on the ladder, compared over seeds",
        {"a dropout layer has a generator of its own": True},
        {"a dropout layer follows the global seed": True},
    ),
    Default(
        "leaky relu: slope",
        "0.3 as a layer, 0.2 as a function",
        "0.01",
        "aligned: the slope is a declared setting",
        {
            "keras.layers.LeakyReLU(negative_slope)": 0.3,
            "keras.activations.leaky_relu(negative_slope)": 0.2,
        },
        {"torch.nn.LeakyReLU(negative_slope)": 0.01},
    ),
    Default(
        "cross-entropy",
        "on probabilities, clipped at 1e-7",
        "on raw outputs",
        "aligned: heads are linear, losses take raw outputs",
        {
            "keras.losses.SparseCategoricalCrossentropy(from_logits)": False,
            "cross-entropy of a probability of 0": 16.118,
        },
        {"cross-entropy of two raw outputs of 0": 0.693},
    ),
    Default(
        "loss of an epoch",
        "weighted by batch size",
        "up to the loop; commonly the mean of the batches",
        "aligned: weighted by rows",
        {"mean of errors 0, 0 and 9 in batches of two": 3.0},
    ),
    Default(
        "shuffling",
        "on; the last rows validate if asked",
        "off",
        "aligned: index arrays of our own, the same in both",
        {"keras.Model.fit(shuffle)": True, "keras.Model.fit(validation_split)": 0.0},
        {"torch.utils.data.DataLoader(shuffle)": None},
    ),
    Default(
        "early stopping",
        "patience 0; the best weights only if asked",
        "none",
        "aligned: one implementation for all, patience declared",
        {
            "keras.callbacks.EarlyStopping(patience)": 0,
            "keras.callbacks.EarlyStopping(min_delta)": 0,
            "keras.callbacks.EarlyStopping(restore_best_weights)": False,
        },
    ),
    Default(
        "area under the curve and the like",
        "binned, 200 thresholds",
        "none",
        "aligned: metrics are computed from saved predictions with scikit-learn",
        {"keras.metrics.AUC(num_thresholds)": 200},
    ),
)


def defaults_table() -> str:
    """Return the table as Markdown, as it stands in ``docs/parity.md``."""
    lines = ["| item | Keras 3 | PyTorch | Tandem |", "|---|---|---|---|"]
    lines += [f"| {row.item} | {row.keras} | {row.torch} | {row.tandem} |" for row in DEFAULTS]
    return "\n".join(lines) + "\n"
