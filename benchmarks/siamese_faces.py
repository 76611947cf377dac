"""How well siamese networks tell people apart that they never saw.

python benchmarks/siamese_faces.py
python benchmarks/siamese_faces.py --validate   (one seed is enough: --seed 0)

Needs `orl_faces.npz` (see faces.py) in the folder that ZOO_DATA_DIR names. Three seeds. What each
run finds is kept in a file, and not measured again; the results go to results/siamese_faces.json.

People 1 to 20 train, all 19,900 pairs of people 21 to 40 are judged. `--validate` trains on one
half of the first twenty and judges the other, in turn, and parts them three times. Recipe, layer,
whitening and the histograms of gradients were chosen by such halves, in scratch runs.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import functools
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from faces import Faces, load_faces
from keras import ops
from measure import report
from siamese import RUNS, SEED_OPTION, averages, fit, once, together

import zoo
from zoo.data import Augment, Part
from zoo.metrics import equal_error_rate, roc_auc

# Faces are mirrored, moved and relit.
FACES = Augment(flip=True, shift=2, turn=8, zoom=0.1, light=0.4, fill_mode="nearest")
RECIPE: dict[str, Any] = dict(
    head="proxies",
    net=dict(filters=(16, 32, 64), convs_per_block=2),
    images=12_000,
    batch_images=40,
    learning_rate=2e-3,
    weight_decay=0.05,
)
LAYER = "block3_pool"  # whose features are whitened
NETS = 3  # whose embeddings are put together
# Copies for the whitening are moved further than those that train, and hardly turned.
MOVED = Augment(flip=True, shift=6, turn=2, zoom=0.03, light=0.4, fill_mode="nearest")
WHITENING: dict[str, Any] = dict(embedding_dim=200, shrinkage=0.1, augment=MOVED, copies=15)


@click.command()
@click.option("--validate", is_flag=True, help="Judge within people 1 to 20.")
@RUNS
@SEED_OPTION
def main(validate: bool, runs: Path, seeds: tuple[int, ...]) -> None:
    """Pairs of people who were not trained with: area under the curve, equal error rate."""
    faces = load_faces()
    splits = list(divisions()) if validate else [(range(1, 21), range(21, 41))]
    rows = []
    for seed, (trained, judged) in itertools.product(seeds, splits):
        parts = [part_of(faces, people) for people in (trained, judged)]
        run = functools.partial(faces_run, *parts, seed)
        key = (list(judged), seed, RECIPE, repr(FACES), LAYER, NETS, repr(WHITENING))
        found = once(runs, key, run)
        rows += [{"seed": seed, **row} for row in found["rows"]]
    name = f"siamese_faces{'_validation' if validate else ''}"
    augmented = {"training": repr(FACES), "whitening": repr(MOVED)}
    report(name, averages(rows, "way", ("auc", "eer")), runs=rows, augmented=augmented)


def divisions() -> Iterable[tuple[list[int], list[int]]]:
    """Part people 1 to 20 into halves, three times; each half trains, the other is judged."""
    for seed in range(3):
        people = 1 + np.random.default_rng(seed).permutation(20)
        halves = sorted(people[:10].tolist()), sorted(people[10:].tolist())
        yield from (halves, halves[::-1])


def faces_run(part: Part, test: Part, seed: int) -> dict[str, Any]:
    """Judge embeddings as trained, whitened features of a net and of three, and with gradients."""
    images, whitened = part.examples(np.arange(len(part))), []
    for net in range(NETS):
        model, _ = fit("siamese_cnn", part, FACES, NETS * seed + net, RECIPE)
        below = zoo.features(model.get_layer("trunk"), LAYER)
        trunk = zoo.whiten(below, images, part.labels, **WHITENING, seed=seed)
        whitened.append(zoo.embedding(trunk))
    edges = zoo.embedding(
        zoo.whiten(gradients(part.input_shape), images, part.labels, **WHITENING, seed=seed)
    )
    nets = together(whitened)
    ways = {
        "as trained": zoo.sides(model).left,
        "whitened": whitened[-1],
        f"whitened, {NETS} nets": nets,
        "gradients, whitened": edges,
        f"whitened, {NETS} nets and gradients": together([nets, edges]),
    }
    views = [test.examples(np.arange(len(test)))]
    views.append(views[0][:, :, ::-1])
    auc, eer = rates(views[0], test.labels)
    rows = [{"way": "pixels", "auc": auc, "eer": eer, "parameters": 0}]
    for way, side in ways.items():
        plain, mirrored = (side.predict(view, verbose=0) for view in views)
        for kind, found in (("", plain), (", with mirror image", plain + mirrored)):
            auc, eer = rates(found, test.labels)
            size = side.count_params()
            rows.append({"way": way + kind, "auc": auc, "eer": eer, "parameters": size})
    return {"rows": rows}


def gradients(input_shape: tuple[int, int, int], bins: int = 8, cell: int = 12) -> keras.Model:
    """Make histograms of the directions of edges, one a cell (Dalal and Triggs 2005).

    Cells overlap by half; both sides of each are blurred, its contrast is divided out, and roots
    are taken, so that strong edges do not decide alone (Arandjelovic and Zisserman 2012).
    """
    image = keras.Input(input_shape, name="image")
    near, far = bell(3, 1.0), bell(cell, cell / 2)
    across = np.outer(near, near * np.arange(-3, 4))
    window = np.repeat(np.outer(far, far)[:, :, None, None], bins, axis=2).astype("float32")
    derivatives = np.stack([across, across.T], axis=-1)[:, :, None].astype("float32")
    slopes = ops.conv(image, derivatives, padding="same")
    turned = ops.arctan2(slopes[..., 1:], slopes[..., :1]) * (bins / np.pi)
    apart = ops.mod(turned - np.arange(bins, dtype="float32"), bins)  # half a turn is none
    shares = ops.relu(1 - ops.minimum(apart, bins - apart))
    strengths = shares * ops.norm(slopes, axis=-1, keepdims=True)
    cells = ops.depthwise_conv(strengths, window, strides=cell // 2, padding="same")
    cells = cells / (ops.norm(cells, axis=-1, keepdims=True) + 0.05)
    return keras.Model(image, ops.sqrt(cells))


def bell(reach: int, deviation: float) -> np.ndarray:
    """Sample a normal distribution at whole numbers, to a sum of 1."""
    density = np.exp(-((np.arange(-reach, reach + 1) / deviation) ** 2) / 2)
    return density / density.sum()


def rates(embeddings: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Judge all pairs by the cosines of embeddings."""
    flat = embeddings.reshape(len(embeddings), -1)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    left, right = np.triu_indices(len(flat), k=1)
    distances = 1 - (flat @ flat.T)[left, right]
    same = labels[left] == labels[right]
    return round(roc_auc(same, distances), 4), round(equal_error_rate(same, distances)[0], 4)


def part_of(faces: Faces, people: Iterable[int]) -> Part:
    """Give the faces of some people, who are counted from 1."""
    return Part(faces.images, faces.labels, np.flatnonzero(np.isin(faces.labels + 1, people)))


if __name__ == "__main__":
    main()
