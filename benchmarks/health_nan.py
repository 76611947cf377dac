"""Whether the monitor names the very step and the layer where a NaN is put into a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from health_data import load
from health_nets import ARCHITECTURES
from keras import ops

import zoo

BATCH, STEPS, EPOCHS = 32, 100, 4
NETS = {"deep_dense": "digits", "deep_conv": "digits", "gru": "waves", "zoo.mlp_residual": "blobs"}
WHEN = (1, 7, 26, 60, 100)  # counted from 1; 26 is the first of an epoch, 100 the last of all


@keras.saving.register_keras_serializable("benchmarks")
class Breaking(keras.layers.Layer):
    """Gives its input, or NaN from the moment that its flag is set."""

    def build(self, input_shape: Any) -> None:
        self.flag = self.add_weight(shape=(), initializer="zeros", trainable=False, name="flag")

    def call(self, inputs: Any) -> Any:
        return ops.where(self.flag > 0, np.nan, inputs)


class AtStep(keras.callbacks.Callback):
    """Does something before a step, which is counted from 1."""

    def __init__(self, step: int, do: Callable[[], None]):
        super().__init__()
        self.left, self.do = step, do

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            self.do()


def cases() -> list[tuple[str, str, int, bool]]:
    """List nets, ways, steps and whether the step is compiled by XLA."""
    return [
        (net, way, step, jit)
        for turn, net in enumerate(NETS)
        for way in ("weight", "batch", "layer")
        for number, step in enumerate(WHEN)
        for jit in ((turn + number) % 2 == 0,)
    ]


def inject(net: str, way: str, step: int, jit: bool, seed: int) -> dict[str, Any]:
    """Put NaN into a weight, one example of a batch, or a layer's output, and ask where it came."""
    keras.utils.set_random_seed(seed)
    data, architecture = load(NETS[net], seed), ARCHITECTURES[net]
    shape = architecture.shape(data.x.shape[1:])
    model = architecture.build(shape, data.outputs, "softmax")
    own = [layer for layer in model.layers if layer.trainable_weights]
    chosen = own[(step + seed) % len(own)]
    if way == "layer":
        model = _with_breaking(model, chosen)
        chosen = model.get_layer("breaking")
    epochs = 1 if way == "batch" else EPOCHS  # in others the same batch would come again
    rows = np.random.default_rng(seed).integers(0, len(data.x), BATCH * STEPS // epochs)
    x, y = data.x[rows].reshape(-1, *shape), data.y[rows]
    if way == "batch":
        x.reshape(len(x), -1)[BATCH * (step - 1) + 5, 3] = np.nan
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=jit)
    monitor = zoo.GradientHealth()
    breaking = {
        "weight": lambda: _break(chosen.trainable_weights[0]),
        "layer": lambda: chosen.flag.assign(1.0),
    }
    callbacks: list[Any] = [AtStep(step, breaking[way])] if way in breaking else []
    callbacks.append(monitor)
    model.fit(x, y, BATCH, epochs, shuffle=False, verbose=0, callbacks=callbacks)
    found = next((one for one in monitor.report.findings if one.name == "non_finite"), None)
    expected = chosen.name if way in breaking else model.layers[0].name
    return {
        "net": net,
        "way": way,
        "seed": seed,
        "XLA": jit,
        "step": step,
        "found step": found and found.step,
        "layer": expected,
        "found layer": found and found.layer,
        "layers apart": _apart(model, expected, found and found.layer),
        "evidence": found and found.evidence,
    }


def _break(weight: Any) -> None:
    values = np.array(weight)
    values.flat[values.size // 2] = np.nan
    weight.assign(values)


def _with_breaking(model: keras.Model, layer: keras.Layer) -> keras.Model:
    """Put the layer that breaks after another one."""

    def call(one: keras.Layer, *arguments: Any, **options: Any) -> Any:
        outputs = one(*arguments, **options)
        return Breaking(name="breaking")(outputs) if one is layer else outputs

    return keras.models.clone_model(model, clone_function=lambda one: one, call_function=call)


def _apart(model: keras.Model, one: str, other: str | None) -> int | None:
    names = [layer.name for layer in model.layers]
    return abs(names.index(one) - names.index(other)) if other in names else None
