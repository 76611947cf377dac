"""What the monitor says of faults that research tools report, and once they are mended.

python benchmarks/health_faults.py        (1 minute on two cores)

The faults are written anew from what is published of AUTOTRAINER (Zhang et al., ICSE 2021), whose
five problems are vanishing and exploding gradients, dying ReLU, oscillating loss and slow
convergence; DeepLocalize (Wardat et al., ICSE 2021, https://arxiv.org/abs/2103.03376), which ends a
training with an error in a layer's output ("forward"), in the change of its weights ("delta
weights"), or with "model does not learn"; and deepmufl (Ghanbari et al., ASE 2023,
https://arxiv.org/abs/2309.05067), which changes the layers of a trained model one by one, and ranks
them by what that does to its outputs. These tools run on Keras 2 and were not run here: "they say"
is how they report faults of the kind.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from dataclasses import dataclass
from typing import Any

import click
from health_record import in_processes
from measure import report

STEPS, BATCH = 200, 32


@dataclass(frozen=True)
class Fault:
    """A fault: what `train` is told, and what mends it."""

    what: str
    they_say: str
    data: str
    wrong: dict[str, Any]
    right: dict[str, Any]


SGD = dict(optimizer="sgd", learning_rate=0.05)
AUTOTRAINER = "AUTOTRAINER: "
FORWARD = "DeepLocalize: error in forward"
DELTA = "DeepLocalize: error in delta weights"
NO_LEARNING = "DeepLocalize: model does not learn"
LAST_FIRST = "deepmufl: the last layer is ranked first"
HIDDEN_FIRST = "deepmufl: a hidden layer is ranked first"

FAULTS = (
    Fault(
        "fifteen layers of sigmoid units",
        f"{AUTOTRAINER}vanishing gradient",
        "circles",
        dict(units=(16,) * 15, activation="sigmoid"),
        dict(units=(16,) * 15, activation="relu", init="he_normal"),
    ),
    Fault(
        "ten layers with initial weights of 1",
        f"{AUTOTRAINER}exploding gradient",
        "blobs",
        dict(units=(64,) * 10, deviation=1.0, **SGD),
        dict(units=(64,) * 10, init="he_normal", **SGD),
    ),
    Fault(
        "biases of -8 below ReLU",
        f"{AUTOTRAINER}dying ReLU",
        "digits",
        dict(units=(48, 48, 48), bias=-8.0),
        dict(units=(48, 48, 48)),
    ),
    Fault(
        "a learning rate of 1 for Adam",
        f"{AUTOTRAINER}oscillating loss",
        "digits",
        dict(learning_rate=1.0),
        dict(learning_rate=3e-3),
    ),
    Fault(
        "a learning rate of 1e-5 for gradient descent",
        f"{AUTOTRAINER}slow convergence",
        "blobs",
        dict(optimizer="sgd", learning_rate=1e-5),
        SGD,
    ),
    Fault(
        "inputs of 0 to 255",
        DELTA,
        "digits",
        dict(input_scale=255.0, **SGD),
        SGD,
    ),
    Fault(
        "real numbers that are not scaled as targets, by gradient descent",
        FORWARD,
        "values",
        dict(target_scale=1000.0, **SGD),
        SGD,
    ),
    Fault(
        "a learning rate of 10 with momentum",
        DELTA,
        "wine",
        dict(optimizer="sgd", learning_rate=10.0, momentum=0.9),
        dict(optimizer="sgd", learning_rate=0.02, momentum=0.9),
    ),
    Fault(
        "missing values in a table",
        FORWARD,
        "table",
        dict(missing=0.02),
        {},
    ),
    Fault(
        "softmax of one unit, squared error",
        NO_LEARNING,
        "table",
        dict(last="softmax", loss="mean_squared_error"),
        {},
    ),
    Fault(
        "classes called 1 and 2 where the loss expects 0 and 1",
        NO_LEARNING,
        "circles",
        dict(target_shift=1.0, learning_rate=1e-2),
        dict(learning_rate=1e-2),
    ),
    Fault(
        "ReLU as the last activation of a classifier",
        LAST_FIRST,
        "table",
        dict(last="relu"),
        {},
    ),
    Fault(
        "sigmoid as the last activation of a regression",
        LAST_FIRST,
        "values",
        dict(last="sigmoid"),
        dict(last="linear"),
    ),
    Fault(
        "the last activation is missing",
        LAST_FIRST,
        "digits",
        dict(last="linear"),
        {},
    ),
    Fault(
        "hidden layers without an activation",
        HIDDEN_FIRST,
        "circles",
        dict(activation="linear", learning_rate=1e-2),
        dict(activation="tanh", learning_rate=1e-2),
    ),
    Fault(
        "one unit in a hidden layer",
        HIDDEN_FIRST,
        "digits",
        dict(units=(32, 1)),
        dict(units=(32, 32)),
    ),
)


def train(
    data: str,
    *,
    units: tuple[int, ...] = (32, 32),
    activation: str = "relu",
    last: str | None = None,
    init: str = "glorot_uniform",
    deviation: float = 0.0,
    bias: float = 0.0,
    loss: str | None = None,
    optimizer: str = "adam",
    learning_rate: float = 3e-3,
    momentum: float | None = None,
    input_scale: float = 1.0,
    target_scale: float = 1.0,
    target_shift: float = 0.0,
    missing: float = 0.0,
) -> dict[str, Any]:
    """Train dense layers with a monitor; gives skill on validation examples, and findings."""
    import keras
    import numpy as np
    from health_data import load
    from health_training import LAST, LOSSES
    from keras import initializers, layers

    import zoo

    keras.utils.set_random_seed(0)
    given = load(data, 0)
    net = [keras.Input(given.x.shape[1:]), layers.Flatten()]
    for size in units:
        kernel = initializers.RandomNormal(0.0, deviation) if deviation else init
        start = initializers.Constant(bias)
        net.append(layers.Dense(size, activation, True, kernel, start))
    net.append(layers.Dense(given.outputs, last or LAST[given.kind]))
    model = keras.Sequential(net)
    rate = {"learning_rate": learning_rate} | ({} if momentum is None else {"momentum": momentum})
    model.compile(
        keras.optimizers.get({"class_name": optimizer, "config": rate}), loss or LOSSES[given.kind]
    )
    rows = np.random.default_rng(0).integers(0, len(given.x), STEPS * BATCH)
    x = given.x[rows] * np.float32(input_scale)
    x.reshape(len(x), -1)[: round(missing * len(x)), 0] = np.nan
    y = given.y[rows] * target_scale + target_shift if given.kind != "classes" else given.y[rows]
    monitor = zoo.GradientHealth()
    model.fit(x, y, BATCH, shuffle=True, verbose=0, callbacks=[monitor])
    outputs = model.predict(given.x_validation * np.float32(input_scale), verbose=0)
    return {
        "skill": round(given.skill((outputs - target_shift) / target_scale), 2),
        "findings": "; ".join(
            f"{one.severity}: {one.name}" + (f" in {one.layer}" if one.layer else "")
            for one in monitor.report.findings
        ),
    }


def both(fault: Fault) -> dict[str, Any]:
    wrong, right = train(fault.data, **fault.wrong), train(fault.data, **fault.right)
    return {
        "fault": fault.what,
        "data": fault.data,
        "they say": fault.they_say,
        "we say": wrong["findings"],
        "skill": wrong["skill"],
        "mended, we say": right["findings"],
        "mended, skill": right["skill"],
    }


@click.command()
def main() -> None:
    """Train each fault, and what mends it, for 200 steps."""
    rows = list(in_processes(both, [(fault,) for fault in FAULTS], "faults"))
    order = [fault.what for fault in FAULTS]
    rows.sort(key=lambda row: order.index(row["fault"]))
    seen = sum(bool(row["we say"]) for row in rows)
    silent = sum(not row["mended, we say"] for row in rows)
    report("health_faults", rows, seen=f"{seen} of {len(rows)}", nothing_once_mended=silent)


if __name__ == "__main__":
    main()
