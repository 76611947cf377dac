"""How well siamese networks tell characters and faces apart that they never saw.

    python benchmarks/siamese.py omniglot   # 20-way one-shot, five losses side by side
    python benchmarks/siamese.py faces      # all pairs of twenty people
    python benchmarks/siamese.py speed      # batches of classes against batches of pairs

Needs `omniglot_background_small.npz` (`images` (4840, 105, 105) of 0 and 1, `alphabet`,
`character`, `drawer`: eight of the background alphabets of Lake et al. 2015) and `orl_faces.npz`
(see faces.py) in the folder that ZOO_DATA_DIR names. Three seeds; what is found goes to
results/siamese_PART.json as it is found, and a run that is there is not made again.

Omniglot: the test alphabets are the last two by name with 20 characters or more; the six others
train. A trial draws an alphabet's 20 characters and two drawers: the one's drawings are the
examples, the other's are to be named (the paper's protocol, with 200 trials an alphabet in place of
10). `--validate` chooses by two alphabets of the six. Every loss trains the same trunk on as many
images: a pair is two.

Faces: people 1 to 20 train, all 19,900 pairs of people 21 to 40 are judged. `--validate` trains on
one half of the first twenty and judges the other, in turn.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import json
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from PIL import Image

import zoo
from zoo.data import ArrayPart, Augment, with_rotations
from zoo.metrics import equal_error_rate, roc_auc
from zoo.optimizers import learning_rate_callback, make_optimizer
from zoo.precision import precision_scope, resolve_precision
from zoo.tasks import VerificationTask
from zoo.verification import judge

SEEDS = (0, 1, 2)
TESTED = ("Latin", "Sanskrit")
VALIDATED = ("Greek", "Korean")
SIDE, WAYS, TRIALS, VIEWS = 35, 20, 200, 8

LETTERS = Augment(shift=3, turn=15, zoom=0.25, shear=15)
NET: dict[str, Any] = dict(filters=(64, 64, 128, 256), trunk_head="global_average")
TRAINING: dict[str, Any] = dict(
    images=280_000, batch_images=64, learning_rate=2e-3, weight_decay=0.01, task={}, net={}
)
LOSSES: dict[str, dict[str, Any]] = {
    "contrastive": dict(head="distance"),
    "logistic (Koch's head)": dict(head="logistic"),
    "triplet, semi-hard": dict(head="embedding", task=dict(mining="semi_hard")),
    "triplet, batch-hard": dict(head="embedding", task=dict(mining="batch_hard")),
    "normalized softmax": dict(head="proxies"),
}
CANDIDATES: dict[str, list[dict[str, Any]]] = {}

# Faces are mirrored, moved and relit.
FACES = Augment(flip=True, shift=2, turn=8, zoom=0.1, light=0.4, fill_mode="nearest")
FACE_NET: dict[str, Any] = dict(sharing="local", first_filters=16, local_filters=64)
FACE_TRAINING: dict[str, Any] = dict(
    head="proxies", images=12_000, batch_images=40, learning_rate=2e-3, weight_decay=0.05
)


class Alphabets:
    """Drawings of characters, at 35x35 pixels, 1 is ink."""

    def __init__(self) -> None:
        with np.load(data_file("omniglot_background_small.npz")) as file:
            self.alphabet, self.drawer = file["alphabet"], file["drawer"]
            names = np.char.add(np.char.add(self.alphabet, "/"), file["character"])
            pixels = file["images"].reshape(-1, SIDE, 3, SIDE, 3).astype("float32")
        self.character = np.unique(names, return_inverse=True)[1]
        self.images = pixels.mean(axis=(2, 4))[..., None]

    def part(self, rows: np.ndarray) -> ArrayPart:
        """Give drawings as a part; every quarter turn of a character is a character, too."""
        labels = np.unique(self.character[rows], return_inverse=True)[1]
        return with_rotations(ArrayPart(self.images[rows], labels.astype(np.int64)))

    def trials(self, alphabet: str, seed: int = 0) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """Draw examples and queries: positions of one drawing a character, in the same order."""
        rng = np.random.default_rng(seed)
        rows = np.flatnonzero(self.alphabet == alphabet)
        characters = np.unique(self.character[rows])
        place = {(self.character[row], self.drawer[row]): row for row in rows}
        for _ in range(TRIALS):
            chosen = rng.choice(characters, WAYS, replace=False)
            one, other = rng.choice(np.arange(1, 21), 2, replace=False)
            yield tuple(np.array([place[c, d] for c in chosen]) for d in (one, other))


def data_file(name: str) -> Path:
    path = Path(os.environ.get("ZOO_DATA_DIR", "."), name)
    if not path.is_file():
        raise click.UsageError(f"{path} is missing: name its folder with ZOO_DATA_DIR.")
    return path


def fit(
    name: str, part: ArrayPart, augment: Augment, seed: int, recipe: dict[str, Any], **more: Any
) -> tuple[keras.Model, float]:
    """Train a registered model on as many images as the recipe says; returns it, and seconds."""
    keras.utils.set_random_seed(seed)
    task = VerificationTask(**recipe.get("task", {}))
    net = {"input_shape": part.input_shape, "num_classes": len(np.unique(part.labels))}
    with precision_scope(resolve_precision("auto")):
        model = zoo.create(name, **net, head=recipe["head"], **more, **recipe.get("net", {}))
    rate = recipe["learning_rate"]
    task.compile(model, make_optimizer("adamw", rate, weight_decay=recipe["weight_decay"]))
    pairs = recipe["head"] in ("distance", "logistic")
    size = recipe["batch_images"] // (2 if pairs else 1)
    batches = task.batches(model, part, size, seed=seed, augment=augment)
    epochs = round(recipe["images"] / (len(batches) * recipe["batch_images"]))
    started = time.perf_counter()
    model.fit(
        batches,
        epochs=epochs,
        shuffle=False,
        verbose=2,
        callbacks=[learning_rate_callback("cosine", rate, epochs)],
    )
    return model, time.perf_counter() - started


def one_shot(
    model: keras.Model, data: Alphabets, alphabets: tuple[str, ...], views: int
) -> dict[str, float]:
    """Name each query after the nearest example; percent right by alphabet, and their mean.

    With views, an image's embedding is the mean of those of that many changed copies and its own.
    """
    parts = zoo.sides(model)
    rows = np.flatnonzero(np.isin(data.alphabet, alphabets))
    images, rng = data.images[rows], np.random.default_rng(0)
    embeddings = parts.left.predict(images, verbose=0, batch_size=256)
    for _ in range(views):
        embeddings += parts.left.predict(LETTERS(images, rng), verbose=0, batch_size=256)
    embeddings /= views + 1
    if parts.judging.name == "embedding":
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    place = np.zeros(len(data.images), np.int64)
    place[rows] = np.arange(len(rows))
    found = {}
    for alphabet in alphabets:
        trials = [(place[a], place[b]) for a, b in data.trials(alphabet)]
        queries = np.concatenate([np.repeat(query, WAYS) for _, query in trials])
        examples = np.concatenate([np.tile(example, WAYS) for example, _ in trials])
        distances = parts.distances(embeddings, embeddings, queries, examples)
        nearest = distances.reshape(TRIALS, WAYS, WAYS).argmin(axis=2)
        found[alphabet] = round(100 * float((nearest == np.arange(WAYS)).mean()), 2)
    return {**found, "mean": round(statistics.mean(found.values()), 2)}


@click.group()
def main() -> None:
    """Measure the siamese networks."""


@main.command()
@click.option("--validate", is_flag=True, help="Try the candidates on two training alphabets.")
@click.option("--only", default="", help="Only losses whose name begins so.")
@click.option("--recipe", default="{}", help="JSON: changes of the recipe, with --validate.")
@click.option("--seeds", default=len(SEEDS), show_default=True)
def omniglot(validate: bool, only: str, recipe: str, seeds: int) -> None:
    """20-way one-shot accuracy on two alphabets that were not trained with."""
    data = Alphabets()
    judged = VALIDATED if validate else TESTED
    left_out = (*TESTED, *VALIDATED) if validate else TESTED
    part = data.part(np.flatnonzero(~np.isin(data.alphabet, left_out)))
    for seed in range(seeds):
        for name, own in LOSSES.items():
            if not name.startswith(only):
                continue
            full = {**TRAINING, **own, **json.loads(recipe)}
            full["task"] = {**own.get("task", {}), **json.loads(recipe).get("task", {})}
            model, seconds = fit(
                "siamese_cnn", part, LETTERS, seed, full, **{**NET, **full.pop("net")}
            )
            row = {
                "loss": name,
                "seed": seed,
                **one_shot(model, data, judged, 0),
                f"mean, {VIEWS} more views": one_shot(model, data, judged, VIEWS)["mean"],
                "seconds": round(seconds),
            }
            print(recipe, row, flush=True)
            keras.backend.clear_session()


@main.command()
@click.option("--validate", is_flag=True, help="Within people 1 to 20.")
@click.option("--recipe", default="{}", help="JSON: changes of the recipe, with --validate.")
@click.option("--seeds", default=len(SEEDS), show_default=True)
def faces(validate: bool, recipe: str, seeds: int) -> None:
    """Area under the curve and equal error rate of pairs of people who were not trained with."""
    images, person = load_faces()
    halves = (range(1, 11), range(11, 21))
    splits = [halves, halves[::-1]] if validate else [(range(1, 21), range(21, 41))]
    for seed in range(seeds):
        for trained, judged in splits:
            full = {**FACE_TRAINING, **json.loads(recipe)}
            part, test = (part_of(images, person, people) for people in (trained, judged))
            name, net = full.pop("name", "siamese_face"), full.pop("net", {})
            model, seconds = fit(name, part, FACES, seed, full, **{**FACE_NET, **net})
            row = {"seed": seed, **rates_of(model, test), "seconds": round(seconds)}
            print(recipe, judged, row, flush=True)
            keras.backend.clear_session()


def load_faces() -> tuple[np.ndarray, np.ndarray]:
    with np.load(data_file("orl_faces.npz")) as file:
        images, person = file["images"], file["subject"].astype(np.int64)
    small = [Image.fromarray(i).resize((46, 56), Image.Resampling.BILINEAR) for i in images]
    return np.stack(small)[..., None] / np.float32(255), person


def part_of(images: np.ndarray, person: np.ndarray, people: Iterable[int]) -> ArrayPart:
    return ArrayPart(images, person, np.flatnonzero(np.isin(person, list(people))))


def rates_of(model: keras.Model, test: ArrayPart) -> dict[str, float]:
    """Judge all pairs by embeddings of an image alone, and of it and its mirror image."""
    parts = zoo.sides(model)
    plain = judge(parts, test).rates()
    left, right = np.triu_indices(len(test), k=1)
    same = test.labels[left] == test.labels[right]
    images = test.images(np.arange(len(test)))
    both = sum(parts.left.predict(view, verbose=0) for view in (images, images[:, :, ::-1]))
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    distances = parts.distances(both, both, left, right)
    return {
        "auc": round(plain["auc"], 4),
        "eer": round(plain["eer"], 4),
        "auc, mirrored": round(roc_auc(same, distances), 4),
        "eer, mirrored": round(equal_error_rate(same, distances)[0], 4),
    }


if __name__ == "__main__":
    main()
