"""Time of a training step of `cascade_cnn`: ours, the same net by hand in Keras, and in PyTorch.

python benchmarks/step_time.py        (about 5 minutes; needs benchmarks/requirements.txt)

Blocks of 32, 64 and 128 filters, two 3x3 convolutions each, batch normalization, global average,
a dense layer of 128, ten classes; 28x28x1 images, batches of 128, AdamW; data in memory. Both
Keras models run `model.fit` on the same batches, PyTorch a plain loop, eager and channels last
(`--compile` adds torch.compile).
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import statistics
from collections.abc import Callable
from functools import partial

import click
import keras
import numpy as np
from keras import layers
from measure import interleaved, report, summary

import zoo
from zoo.data import Part, feed
from zoo.training.precision import precision_scope

BATCH, STEPS = 128, 20
FILTERS = (32, 64, 128)
Contestant = Callable[[], None]


def images_and_labels() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    images = generator.random((BATCH * STEPS, 28, 28, 1), dtype="float32")
    return images, generator.integers(0, 10, BATCH * STEPS)


def keras_zoo(precision: str) -> Contestant:
    with precision_scope(precision):
        model = zoo.cascade_cnn((28, 28, 1), 10, filters=FILTERS, head="global_average")
    return fitting(model)


def keras_by_hand(precision: str) -> Contestant:
    with precision_scope(precision):
        x = image = keras.Input((28, 28, 1))
        for filters in FILTERS:
            for _ in range(2):
                x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
                x = layers.BatchNormalization(momentum=0.9)(x)
                x = layers.ReLU()(x)
            x = layers.MaxPooling2D()(x)
        x = layers.GlobalAveragePooling2D()(x)
        x = layers.Dense(128, use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        x = layers.Dense(10)(x)
        model = keras.Model(image, layers.Activation("softmax", dtype="float32")(x))
    return fitting(model)


def fitting(model: keras.Model) -> Contestant:
    batches = feed(Part(*images_and_labels()).batches(BATCH, seed=0))
    model.compile("adamw", "sparse_categorical_crossentropy")

    def run() -> None:
        model.fit(batches, epochs=1, shuffle=False, verbose=0)

    return run


def pytorch(precision: str, compiled: bool = False) -> Contestant:
    import torch  # not in the processes that run Keras

    torch.set_num_threads(os.cpu_count() or 1)
    modules: list[torch.nn.Module] = []
    channels = 1
    for filters in FILTERS:
        for _ in range(2):
            modules += [
                torch.nn.Conv2d(channels, filters, 3, padding=1, bias=False),
                torch.nn.BatchNorm2d(filters),
                torch.nn.ReLU(inplace=True),
            ]
            channels = filters
        modules.append(torch.nn.MaxPool2d(2))
    modules += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    modules += [torch.nn.Linear(128, 128, bias=False), torch.nn.BatchNorm1d(128), torch.nn.ReLU()]
    modules.append(torch.nn.Linear(128, 10))
    model = torch.nn.Sequential(*modules).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters())
    images, labels = map(torch.from_numpy, images_and_labels())
    images = images.permute(0, 3, 1, 2)  # channels last in memory
    bfloat16 = precision == "mixed_bfloat16"

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            logits = model(x)
        torch.nn.functional.cross_entropy(logits.float(), y).backward()
        optimizer.step()

    step = torch.compile(step) if compiled else step

    def run() -> None:
        order = torch.randperm(len(images))
        for start in range(0, len(images), BATCH):
            chosen = order[start : start + BATCH]
            step(images[chosen], labels[chosen])

    return run


@click.command()
@click.option("--rounds", default=7, show_default=True)
@click.option("--compile", "compiled", is_flag=True, help="Add PyTorch through torch.compile.")
def main(rounds: int, compiled: bool) -> None:
    """Time a training step of the same net in three ways and two precisions."""
    contestants = {}
    for precision in ("float32", "mixed_bfloat16"):
        contestants["keras-zoo", precision] = partial(keras_zoo, precision)
        contestants["Keras by hand", precision] = partial(keras_by_hand, precision)
        contestants["PyTorch", precision] = partial(pytorch, precision)
        if compiled:
            contestants["PyTorch compiled", precision] = partial(pytorch, precision, compiled=True)
    times = interleaved(contestants, rounds=rounds, steps=STEPS)
    median = {key: statistics.median(values) for key, values in times.items()}
    rows = [
        {
            "net": name,
            "precision": precision,
            **summary(values),
            "ours over it": round(median["keras-zoo", precision] / median[name, precision], 3),
        }
        for (name, precision), values in times.items()
    ]
    speedup = median["keras-zoo", "float32"] / median["keras-zoo", "mixed_bfloat16"]
    report("step_time", rows, float32_over_bfloat16=round(speedup, 2))


if __name__ == "__main__":
    main()
