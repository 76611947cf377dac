"""Rate and distortion of `zoo.ImageCodec`, with JPEG and WebP beside it.

    python benchmarks/codecs.py mnist     # dense codecs, three seeds of the middle one
    python benchmarks/codecs.py faces     # convolutional codecs; needs orl_faces.npz

MNIST is read by name: see `zoo.load_data`; the faces from the folder that ZOO_DATA_DIR names. The
curves are drawn to results/codecs_PART.png.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from measure import RESULTS, report

import zoo
from zoo import plots
from zoo.codec import Point, rate_distortion
from zoo.codec.curve import mean_psnr
from zoo.codec.stream import Stream

SEEDS = (0, 1, 2)
SHOWN = 1000  # images of the curves

# Chosen on 5,000 images of the training part.
MNIST: dict[str, Any] = dict(hidden_units=(1000, 500), latent_dim=24, activation="gelu")
MNIST_RECIPE: dict[str, Any] = dict(
    epochs=10, batch_size=128, optimizer="adam", learning_rate_schedule="cosine"
)
# Chosen on 6 of the training part's 30 people: augmentation gained most, tied weights a little.
FACES: dict[str, Any] = dict(filters=(16, 32, 64), convs_per_block=1, latent_dim=256, tied=True)
FACES_RECIPE: dict[str, Any] = dict(
    epochs=150,
    batch_size=16,
    optimizer="adam",
    learning_rate_schedule="cosine",
    augment=zoo.data.Augment(flip=True, shift=6),
)


def train(name: str, data: Any, weight: float, seed: int, net: Any, recipe: Any) -> zoo.ImageCodec:
    """Train a codec, and take it as another process would: from its file."""
    with tempfile.TemporaryDirectory() as directory:
        run = zoo.train(
            name,
            data,
            arguments={"kind": "compression", "penalty_weight": weight, **net},
            seed=seed,
            directory=Path(directory) / "run",
            verbose=0,
            **recipe,
        )
        path = Path(directory) / "codec.keras"
        zoo.ImageCodec(run.model).save(path)
        return zoo.ImageCodec.load(path)


def judge(codec: zoo.ImageCodec, images: np.ndarray) -> dict[str, Any]:
    """Compress all images together, and some alone."""
    data = codec.compress(images)
    symbols, pixels = codec.encode(images), images[..., 0].size
    payload = Stream.from_bytes(data).payload
    own = codec.bits(images)
    extra = [
        len(Stream.from_bytes(codec.compress(images[i : i + 1])).payload) - own[i] / 8
        for i in range(min(200, len(images)))
    ]
    rebuilt = codec.decompress(data)
    return {
        "bits a pixel": round(8 * len(data) / pixels, 4),
        "PSNR": round(mean_psnr(images, rebuilt), 2),
        "over the model's rate": round(float(8 * len(payload) / own.sum()), 5),
        "alone, extra bytes, mean": round(statistics.mean(extra), 2),
        "alone, extra bytes, most": round(max(extra), 2),
        "header and checksum, bytes": len(data) - len(payload),
        "same symbols": bool((codec._read(data) == symbols).all()),
        "decoder's weights, bytes": 4 * codec.model.get_layer("decoder").count_params(),
    }


def judged(
    name: str, data: Any, weights: dict[float, tuple[int, ...]], net: Any, recipe: Any
) -> tuple[list[dict[str, Any]], list[zoo.ImageCodec]]:
    """Train codecs with some weights and seeds; gives their rows, and those of the first seed."""
    images = data.test.examples(np.arange(len(data.test)))
    rows, codecs = [], []
    for weight, seeds in weights.items():
        for seed in seeds:
            codec = train(name, data, weight, seed, net, recipe)
            rows.append({"penalty_weight": weight, "seed": seed, **judge(codec, images)})
            print(rows[-1])
            if seed == 0:
                codecs.append(codec)
    return rows, codecs


def publish(name: str, rows: list[dict[str, Any]], curves: dict[str, list[Point]], **more: Any):
    picture = plots.rate_distortion(curves, RESULTS / f"{name}.png")
    points = {
        key: [[round(point.bits_per_pixel, 4), round(point.psnr, 2)] for point in values]
        for key, values in curves.items()
    }
    report(name, rows, curves=points, picture=picture.name, **more)


@click.group()
def main() -> None:
    """Measure codecs."""


@main.command()
def mnist() -> None:
    """Dense codecs of MNIST, judged by its 10,000 test images."""
    data = zoo.load_data("mnist", validation_fraction=0)
    images = data.test.examples(np.arange(len(data.test)))
    weights = {0.03: (0,), 0.12: SEEDS, 0.5: (0,)}
    rows, codecs = judged("dense_autoencoder", data, weights, MNIST, MNIST_RECIPE)
    curves = rate_distortion(images[:SHOWN], codecs)
    publish("codecs_mnist", rows, curves, net=MNIST, recipe=MNIST_RECIPE)


@main.command()
@click.option("--validate", is_flag=True, help="Train with 24 people, judge by the other 6.")
def faces(validate: bool) -> None:
    """Convolutional codecs of the ORL faces, 112x92: 30 people to train with, 10 to judge by."""
    archive = np.load(Path(os.environ["ZOO_DATA_DIR"]) / "orl_faces.npz")
    images, people = archive["images"], np.unique(archive["subject"], return_inverse=True)[1]
    learned, all_people = (24, 30) if validate else (30, 40)
    seen, unseen = people < learned, (people >= learned) & (people < all_people)
    data = zoo.load_data(((images[seen], None), (images[unseen], None)), validation_fraction=0)
    test = data.test.examples(np.arange(len(data.test)))
    weights = {0.03: (0,)} if validate else {0.003: (0,), 0.03: SEEDS, 0.3: (0,)}
    rows, codecs = judged("conv_autoencoder", data, weights, FACES, FACES_RECIPE)
    if validate:
        return
    curves = rate_distortion(test, codecs)
    recipe = {**FACES_RECIPE, "augment": repr(FACES_RECIPE["augment"])}
    publish("codecs_faces", rows, curves, net=FACES, recipe=recipe)


if __name__ == "__main__":
    main()
