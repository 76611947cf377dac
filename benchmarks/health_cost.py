"""What watching a training costs: a step of `fit` alone, with `zoo.GradientHealth`, with others.

python benchmarks/health_cost.py

Beside it: a train step that gives the norm of every gradient in every step, as is often written by
hand, and TensorBoard's Debugger V2 (FULL_HEALTH). Each contestant has a process of its own, and
they take turns.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from measure import interleaved, report, summary

BATCH, STEPS, ROUNDS = 128, 40, 9
NETS = ("3-block CNN", "MLP of 4 million", "30 layers")
ALONE, OURS, BY_HAND, DEBUGGER = "fit", "GradientHealth", "norms every step", "Debugger V2"


def net(which: str):
    import keras
    from keras import layers

    import zoo

    keras.utils.set_random_seed(0)
    if which == "3-block CNN":
        return zoo.cascade_cnn((28, 28, 1), 10)
    size, units, depth = (784, 1100, 4) if which == "MLP of 4 million" else (64, 128, 30)
    hidden = [layers.Dense(units, "relu") for _ in range(depth)]
    return keras.Sequential([keras.Input((size,)), *hidden, layers.Dense(10, "softmax")])


def with_norms(model):
    """Give the model a train step that logs the norm of each gradient."""
    import keras
    import tensorflow as tf

    class WithNorms(keras.Model):
        def train_step(self, data):
            x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            norms = {f"norm_{i}": tf.norm(gradient) for i, gradient in enumerate(gradients)}
            return {"loss": loss, **norms}

    return WithNorms(model.inputs, model.outputs)


def contestant(which: str, watched_by: str) -> Callable[[], None]:
    import tensorflow as tf

    import zoo

    if watched_by == DEBUGGER:
        folder = tempfile.mkdtemp()
        tf.debugging.experimental.enable_dump_debug_info(
            folder, tensor_debug_mode="FULL_HEALTH", circular_buffer_size=1000
        )
    model = net(which)
    if watched_by == BY_HAND:
        model = with_norms(model)
    model.compile("adam", "sparse_categorical_crossentropy")
    generator = np.random.default_rng(0)
    x = generator.random((BATCH * STEPS, *model.input_shape[1:]), dtype="float32")
    y = generator.integers(0, 10, len(x))
    callbacks = [zoo.GradientHealth()] if watched_by == OURS else []

    def run() -> None:
        model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=callbacks)

    return run


def main() -> None:
    rows = []
    for which in NETS:
        makers = {
            name: functools.partial(contestant, which, name)
            for name in (ALONE, OURS, BY_HAND, DEBUGGER)
        }
        times = interleaved(makers, rounds=ROUNDS, steps=STEPS)
        alone = np.array(times[ALONE])
        for name, values in times.items():
            ratio = float(np.median(np.array(values) / alone))
            rows.append(
                {"net": which, "watched by": name, **summary(values), "ratio": round(ratio, 3)}
            )
    report("health_cost", rows)


if __name__ == "__main__":
    main()
