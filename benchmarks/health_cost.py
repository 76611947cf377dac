"""What watching a training costs: a step of `fit` alone, with `zoo.GradientHealth`, with others.

python benchmarks/health_cost.py

Beside it: a train step that gives the norm of every gradient in every step, as is often written by
hand, and TensorBoard's Debugger V2 (FULL_HEALTH). Each net is trained in one process, in fits of
101 steps that take turns in another order each round. A step is the median of a fit's; the mean of
all steps has records and a look in it, too. The second `fit` without anything shows what differs by
chance. The debugger, which stays on once it is, has a process of its own, after the others.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from measure import report
from rich.progress import track

BATCH, STEPS = 128, 101
ROUNDS = {"3-block CNN": 8, "MLP of 4 million": 24, "30 layers": 40}
ALONE, AGAIN, OURS, BY_HAND, DEBUGGER = (
    "fit",
    "fit again",
    "GradientHealth",
    "norms every step",
    "Debugger V2",
)


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


def clock() -> Any:
    import keras

    class Clock(keras.callbacks.Callback):
        """Takes the time at the start, and at the end of each step."""

        def on_train_begin(self, logs=None):
            self.times = []

        def on_train_batch_begin(self, batch, logs=None):
            if not self.times:
                self.times.append(time.perf_counter())

        def on_train_batch_end(self, batch, logs=None):
            self.times.append(time.perf_counter())

    return Clock()


def times_of(which: str, names: tuple[str, ...], rounds: int) -> dict[str, np.ndarray]:
    """Give the median and mean milliseconds of a step, for each contestant and round."""
    import zoo

    plain, by_hand = net(which), with_norms(net(which))
    for model in (plain, by_hand):
        model.compile("adam", "sparse_categorical_crossentropy")
    generator = np.random.default_rng(0)
    x = generator.random((BATCH * STEPS, *plain.input_shape[1:]), dtype="float32")
    y = generator.integers(0, 10, len(x))
    watch, monitor = clock(), zoo.GradientHealth()

    def fit(name: str) -> tuple[float, float]:
        model = by_hand if name == BY_HAND else plain
        callbacks = [watch, *([monitor] if name == OURS else [])]
        model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=callbacks)
        times = np.diff(watch.times) * 1e3
        return float(np.median(times)), float(np.mean(times))

    for name in names:
        fit(name)  # which traces
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in track(range(rounds), which):
        for name in generator.permutation(names):
            found[str(name)].append(fit(str(name)))
    return {name: np.array(values) for name, values in found.items()}


def debugged(which: str) -> float:
    """Give the median milliseconds of a step that Debugger V2 watches, in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, which], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def debug(which: str) -> None:
    import tensorflow as tf

    tf.debugging.experimental.enable_dump_debug_info(
        tempfile.mkdtemp(), tensor_debug_mode="FULL_HEALTH", circular_buffer_size=1000
    )
    print(np.median(times_of(which, (ALONE,), 2)[ALONE][:, 0]))


def main() -> None:
    rows = []
    for which, rounds in ROUNDS.items():
        times = times_of(which, (ALONE, AGAIN, OURS, BY_HAND), rounds)
        for name, values in times.items():
            ratios = values / times[ALONE]
            ratio, of_means = np.median(ratios, axis=0)
            error, error_of_means = 1.25 * ratios.std(axis=0) / rounds**0.5
            rows.append(
                {
                    "net": which,
                    "watched by": name,
                    "median ms": round(float(np.median(values[:, 0])), 2),
                    "ratio": round(float(ratio), 3),
                    "standard error": round(float(error), 3),
                    "ratio of means": round(float(of_means), 3),
                    "its standard error": round(float(error_of_means), 3),
                    "rounds": rounds,
                }
            )
        alone, one = float(np.median(times[ALONE][:, 0])), debugged(which)
        ratio = round(one / alone, 2)
        rows.append(
            {"net": which, "watched by": DEBUGGER, "median ms": round(one, 2), "ratio": ratio}
        )
    report("health_cost", rows)


if __name__ == "__main__":
    debug(sys.argv[1]) if len(sys.argv) > 1 else main()
