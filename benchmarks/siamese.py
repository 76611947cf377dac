"""How well siamese networks tell characters and faces apart that they never saw.

    python benchmarks/siamese.py omniglot   # 20-way one-shot, five losses side by side
    python benchmarks/siamese.py faces      # all pairs of twenty people
    python benchmarks/siamese.py speed      # batches of classes against batches of pairs

Needs `omniglot_background_small.npz` (`images` (4840, 105, 105) of 0 and 1, `alphabet`,
`character`, `drawer`: eight of the background alphabets of Lake et al. 2015) and `orl_faces.npz`
(see faces.py) in the folder that ZOO_DATA_DIR names. Three seeds. What each run finds is kept in
a file, and not measured again; the results go to results/siamese_PART.json.

Omniglot: the test alphabets are the last two by name with 20 characters or more; the six others
train. A trial draws an alphabet's 20 characters and two drawers: the one's drawings are the
examples, the other's are to be named (the paper's protocol, with 200 trials an alphabet in place of
10). Every loss trains the same trunk on as many images (a pair is two) with the task's own margins,
rates and sizes, which were not searched; the last two train longer by the loss that is best by
`--validate`, which judges by two of the six alphabets, one of them a deeper net.

Faces: people 1 to 20 train, all 19,900 pairs of people 21 to 40 are judged. `--validate` trains on
one half of the first twenty and judges the other, in turn; recipe, layer and whitening were chosen
so.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import functools
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from measure import interleaved, report, summary
from PIL import Image

import zoo
from zoo.data import ArrayPart, Augment, with_rotations
from zoo.metrics import equal_error_rate, n_way_accuracy, roc_auc
from zoo.optimizers import learning_rate_callback, make_optimizer
from zoo.precision import precision_scope, resolve_precision
from zoo.tasks import VerificationTask

SEEDS = (0, 1, 2)
TESTED = ("Latin", "Sanskrit")
VALIDATED = ("Greek", "Korean")
SIDE, WAYS, TRIALS, VIEWS = 35, 20, 200, 8
STEPS, TARGET = 40, 75.0  # of the speed: steps a round, and percent right

LETTERS = Augment(shift=3, turn=15, zoom=0.25, shear=15)
TRAINING: dict[str, Any] = dict(batch_images=64, learning_rate=2e-3, weight_decay=0.01)
RECIPES: dict[str, dict[str, Any]] = {
    "contrastive": dict(head="distance", images=100_000),
    "logistic (Koch's head)": dict(head="logistic", images=100_000),
    "triplet, batch-hard": dict(head="embedding", images=100_000, task=dict(mining="batch_hard")),
    "triplet, semi-hard": dict(head="embedding", images=100_000, task=dict(mining="semi_hard")),
    "normalized softmax": dict(head="proxies", images=100_000),
    "triplet, semi-hard, longer": dict(
        head="embedding", images=280_000, task=dict(mining="semi_hard")
    ),
    "residual, triplet, semi-hard, longer": dict(
        head="embedding", images=280_000, net=dict(convs_per_block=2, skip_connections=True)
    ),
}

# Faces are mirrored, moved and relit.
FACES = Augment(flip=True, shift=2, turn=8, zoom=0.1, light=0.4, fill_mode="nearest")
FACE_TRAINING: dict[str, Any] = dict(
    head="proxies", images=4_000, batch_images=40, learning_rate=2e-3, weight_decay=0.05
)
CASCADE: dict[str, Any] = dict(filters=(16, 32, 64), convs_per_block=2)
# The layer is the one whose features are whitened.
FACE_RECIPES: dict[str, dict[str, Any]] = {
    "cascade": dict(name="siamese_cnn", layer="block3_pool", net=CASCADE),
    "cascade, average pooling": dict(
        name="siamese_cnn", layer="block3_pool", net=dict(CASCADE, pooling="average")
    ),
    "cascade, twice as wide": dict(
        name="siamese_cnn", layer="block3_pool", net=dict(CASCADE, filters=(32, 64, 128))
    ),
    "cascade, three times as long": dict(
        name="siamese_cnn", layer="block3_pool", net=CASCADE, images=12_000
    ),
    "unshared top": dict(
        name="siamese_face",
        layer="local1_activation",
        net=dict(num_shared_blocks=3, first_filters=16, local_filters=64),
    ),
}
NETS = 3  # whose embeddings are put together
FACE_RECIPE = "cascade, three times as long"  # the best by --validate
WHITENING: dict[str, Any] = dict(embedding_dim=150, shrinkage=0.1, augment=FACES)


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
    name: str, part: ArrayPart, augment: Augment, seed: int, recipe: dict[str, Any]
) -> tuple[keras.Model, float]:
    """Train a registered model on as many images as the recipe says; returns it, and seconds."""
    keras.utils.set_random_seed(seed)
    model, task = compiled(part, recipe, name)
    rate, sides = recipe["learning_rate"], len(model.inputs)
    size = recipe["batch_images"] // sides
    batches = task.batches(model, part, size, seed=seed, augment=augment)
    epochs = round(recipe["images"] / (len(batches) * size * sides))
    started = time.perf_counter()
    schedule = learning_rate_callback("cosine", rate, epochs)
    model.fit(batches, epochs=epochs, shuffle=False, verbose=2, callbacks=[schedule])
    return model, time.perf_counter() - started


def compiled(
    part: ArrayPart, recipe: dict[str, Any], name: str = "siamese_cnn"
) -> tuple[keras.Model, VerificationTask]:
    task = VerificationTask(**recipe.get("task", {}))
    given = dict(input_shape=part.input_shape, num_classes=len(np.unique(part.labels)))
    with precision_scope(resolve_precision("auto")):
        model = zoo.create(name, **given, head=recipe["head"], **recipe.get("net", {}))
    rate = recipe["learning_rate"]
    task.compile(model, make_optimizer("adamw", rate, weight_decay=recipe["weight_decay"]))
    return model, task


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


RUNS = click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("out/siamese_runs.jsonl"),
    show_default=True,
    help="Where each run's result is kept.",
)
SEED_OPTION = click.option("--seed", "seeds", multiple=True, type=int, default=SEEDS)


@click.group()
def main() -> None:
    """Measure the siamese networks."""


@main.command()
@click.option("--validate", is_flag=True, help="Judge by two of the training alphabets.")
@click.option("--only", default="", help="Only recipes whose name begins so; nothing is reported.")
@RUNS
@SEED_OPTION
def omniglot(validate: bool, only: str, runs: Path, seeds: tuple[int, ...]) -> None:
    """20-way one-shot accuracy on two alphabets that were not trained with."""
    data = Alphabets()
    judged = VALIDATED if validate else TESTED
    left_out = (*TESTED, *VALIDATED) if validate else TESTED
    part = data.part(np.flatnonzero(~np.isin(data.alphabet, left_out)))
    rows = []
    for seed, name in itertools.product(seeds, RECIPES):
        recipe = {**TRAINING, **RECIPES[name]}
        if name.startswith(only):
            run = functools.partial(letters_run, data, part, judged, seed, recipe)
            rows.append({"recipe": name, "seed": seed, **once(runs, (judged, seed, recipe), run)})
    if not only:
        means = averages(rows, "recipe", ("one view", f"{VIEWS + 1} views"))
        name = f"siamese_omniglot{'_validation' if validate else ''}"
        report(name, means, runs=rows, pixels=nearest_pixels(data, judged), augmented=repr(LETTERS))


def letters_run(
    data: Alphabets, part: ArrayPart, judged: tuple[str, ...], seed: int, recipe: dict[str, Any]
) -> dict[str, Any]:
    model, seconds = fit("siamese_cnn", part, LETTERS, seed, recipe)
    alone, more = (one_shot(model, data, judged, views) for views in (0, VIEWS))
    accuracy = {"one view": alone.pop("mean"), f"{VIEWS + 1} views": more["mean"]}
    return {**accuracy, **alone, "parameters": model.count_params(), "seconds": round(seconds)}


def nearest_pixels(data: Alphabets, alphabets: tuple[str, ...]) -> float:
    """Percent right of the nearest drawing by its pixels."""
    flat = data.images.reshape(len(data.images), -1)
    right = [
        n_way_accuracy(flat[example], range(WAYS), flat[query], range(WAYS))
        for alphabet in alphabets
        for example, query in data.trials(alphabet)
    ]
    return round(100 * statistics.mean(right), 2)


def once(path: Path, key: Any, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Measure what the file does not hold yet, and add it as a line."""
    wanted = json.loads(json.dumps(key))
    for line in path.read_text().splitlines() if path.exists() else ():
        entry = json.loads(line)
        if entry["key"] == wanted:
            return entry["found"]
    found = measure()
    keras.backend.clear_session()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(json.dumps({"key": wanted, "found": found}) + "\n")
    return found


def averages(rows: list[dict[str, Any]], by: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Give the mean and the standard deviation over the seeds."""
    found = []
    for name in dict.fromkeys(row[by] for row in rows):
        own = [row for row in rows if row[by] == name]
        row: dict[str, Any] = {by: name, "runs": len(own), "parameters": own[0]["parameters"]}
        for column in columns:
            values = [one[column] for one in own]
            row[column] = round(statistics.mean(values), 4)
            row[f"sd, {column}"] = round(statistics.stdev(values), 4) if len(own) > 1 else None
        found.append(row)
    return found


@main.command()
@click.option("--validate", is_flag=True, help="Compare recipes within people 1 to 20.")
@RUNS
@SEED_OPTION
def faces(validate: bool, runs: Path, seeds: tuple[int, ...]) -> None:
    """Pairs of people who were not trained with: area under the curve, equal error rate."""
    images, person = load_faces()
    halves = (range(1, 11), range(11, 21))
    splits = [halves, halves[::-1]] if validate else [(range(1, 21), range(21, 41))]
    names = FACE_RECIPES if validate else [FACE_RECIPE]
    rows = []
    for seed, name, (trained, judged) in itertools.product(seeds, names, splits):
        recipe = {**FACE_TRAINING, **FACE_RECIPES[name]}
        parts = [part_of(images, person, people) for people in (trained, judged)]
        run = functools.partial(faces_run, *parts, seed, recipe)
        found = once(runs, (list(judged), seed, recipe, repr(WHITENING)), run)
        rows += [{"recipe": name, "seed": seed, **row} for row in found["rows"]]
    for row in rows:
        row["way"] = f"{row.pop('recipe')}: {row['way']}"
    test = part_of(images, person, splits[-1][1])
    pixels = {"all pixels": rates(test.images(np.arange(len(test))), test.labels)}
    name = f"siamese_faces{'_validation' if validate else ''}"
    report(
        name, averages(rows, "way", ("auc", "eer")), runs=rows, pixels=pixels, augmented=repr(FACES)
    )


def faces_run(
    part: ArrayPart, test: ArrayPart, seed: int, recipe: dict[str, Any]
) -> dict[str, Any]:
    """Judge embeddings as they were trained, whitened features of one net, and those of three."""
    recipe = dict(recipe)
    name, layer = recipe.pop("name"), recipe.pop("layer")
    images, whitened, seconds = part.images(np.arange(len(part))), [], []
    for net in range(NETS):
        model, time_of_net = fit(name, part, FACES, NETS * seed + net, recipe)
        below = zoo.features(model.get_layer("trunk"), layer)
        trunk = zoo.whiten(below, images, part.labels, **WHITENING, seed=seed)
        whitened.append(zoo.embedding(trunk, name=f"net{net + 1}"))
        seconds.append(time_of_net)
    image = keras.Input(part.input_shape, name="image")
    joined = keras.layers.Concatenate(name="nets")([one(image) for one in whitened])
    ways = {
        "as trained": zoo.sides(model).left,
        "whitened": whitened[-1],
        f"whitened, {NETS} nets": zoo.embedding(keras.Model(image, joined)),
    }
    views = [test.images(np.arange(len(test)))]
    views.append(views[0][:, :, ::-1])
    rows = []
    for way, side in ways.items():
        plain, mirrored = (side.predict(view, verbose=0) for view in views)
        for kind, found in (("", plain), (", with mirror image", plain + mirrored)):
            auc, eer = rates(found, test.labels)
            size = side.count_params()
            rows.append({"way": way + kind, "auc": auc, "eer": eer, "parameters": size})
    return {"rows": rows, "seconds": round(statistics.mean(seconds))}


def rates(embeddings: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Judge all pairs by the cosines of embeddings."""
    flat = embeddings.reshape(len(embeddings), -1)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    left, right = np.triu_indices(len(flat), k=1)
    distances = 1 - (flat @ flat.T)[left, right]
    same = labels[left] == labels[right]
    return round(roc_auc(same, distances), 4), round(equal_error_rate(same, distances)[0], 4)


@main.command()
@click.option("--rounds", default=7, show_default=True)
def speed(rounds: int) -> None:
    """Images a second of batches of classes and of pairs, and what they take to the same place."""
    ways = {"16 classes x 4, semi-hard triplets": "embedding", "32 pairs, contrastive": "distance"}
    makers = {name: functools.partial(stepping, head) for name, head in ways.items()}
    times = interleaved(makers, rounds=rounds, steps=STEPS)
    data = Alphabets()
    rows = []
    for name, head in ways.items():
        row = {"batch of 64 images": name, **summary(times[name])}
        row["images a second"] = round(64e3 / statistics.median(times[name]))
        rows.append({**row, **until(data, head)})
    report("siamese_speed", rows, target=f"{TARGET} % one-shot on {' and '.join(VALIDATED)}")


def stepping(head: str) -> Callable[[], None]:
    """Make what trains for some steps on drawings in memory, sampling included."""
    data = Alphabets()
    part = data.part(np.arange(len(data.images)))
    model, task = compiled(part, dict(TRAINING, head=head))
    sides = len(model.inputs)
    batches = task.batches(model, part, 64 // sides, seed=0)
    return lambda: model.fit(batches, epochs=1, steps_per_epoch=STEPS, shuffle=False, verbose=0)


def until(data: Alphabets, head: str) -> dict[str, Any]:
    """Train, at a constant rate, until one-shot accuracy reaches the target after an epoch."""
    part = data.part(np.flatnonzero(~np.isin(data.alphabet, (*TESTED, *VALIDATED))))
    keras.utils.set_random_seed(0)
    model, task = compiled(part, dict(TRAINING, head=head))
    sides = len(model.inputs)
    batches = task.batches(model, part, 64 // sides, seed=0, augment=LETTERS)
    seconds, epochs, accuracy = 0.0, 0, 0.0
    while accuracy < TARGET and epochs < 60:
        started = time.perf_counter()
        model.fit(batches, epochs=1, shuffle=False, verbose=2)
        seconds += time.perf_counter() - started
        epochs += 1
        accuracy = one_shot(model, data, VALIDATED, 0)["mean"]
    images = epochs * len(batches) * 64
    return {"images": images, "seconds": round(seconds), "accuracy %": accuracy}


def load_faces() -> tuple[np.ndarray, np.ndarray]:
    with np.load(data_file("orl_faces.npz")) as file:
        images, person = file["images"], file["subject"].astype(np.int64)
    small = [Image.fromarray(i).resize((46, 56), Image.Resampling.BILINEAR) for i in images]
    return np.stack(small)[..., None] / np.float32(255), person


def part_of(images: np.ndarray, person: np.ndarray, people: Iterable[int]) -> ArrayPart:
    return ArrayPart(images, person, np.flatnonzero(np.isin(person, list(people))))


if __name__ == "__main__":
    main()
