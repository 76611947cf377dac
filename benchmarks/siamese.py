"""How well siamese networks tell characters apart that they never saw.

python benchmarks/siamese.py              (some two hours on one core)
python benchmarks/siamese.py --validate   (twice as long; one seed is enough: --seed 0)

Needs `omniglot_background_small.npz` (`images` (4840, 105, 105) of 0 and 1, `alphabet`,
`character`, `drawer`: eight of the background alphabets of Lake et al. 2015) in the folder that
ZOO_DATA_DIR names. Three seeds. What each run finds is kept in a file, and not measured again; the
results go to results/siamese_omniglot.json.

The test alphabets are the last two by name with 20 characters or more; the six others train. A
trial draws an alphabet's 20 characters and two drawers: the one's drawings are the examples, the
other's are to be named (the paper's protocol, with 200 trials an alphabet in place of 10). Drawings
are cut to their ink and scaled to one size. Every loss trains the same trunk with the task's own
margins, rates and sizes, which were not searched, on about as many images, in whole epochs: where
100,000 are named, pairs show 111,360 (a pair is two), others some 97,000. `--validate` judges
by four of the training alphabets, two at a time; it compares these recipes, not the nets that were
tried before, with triplets, when this one was chosen.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import functools
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from measure import report

import zoo
from zoo.data import Augment, Part, cut_to_ink, with_rotations
from zoo.metrics import n_way_accuracy
from zoo.tasks import VerificationTask
from zoo.training.fit import compile_model, fit_model
from zoo.training.precision import precision_scope, resolve_precision

SEEDS = (0, 1, 2)
TESTED = ("Latin", "Sanskrit")
VALIDATED = (("Greek", "Korean"), ("Balinese", "Japanese_(katakana)"))
SIDE, BORDER = 35, 3  # pixels; the border is around the ink
WAYS, TRIALS, VIEWS = 20, 200, 24
MANY = f"nearest of {VIEWS + 1} views"

LETTERS = Augment(shift=2, turn=15, zoom=0.15, shear=15)
TRAINING: dict[str, Any] = dict(
    batch_images=64,
    learning_rate=2e-3,
    weight_decay=0.01,
    images=100_000,
    net=dict(filters=(32, 64, 128), convs_per_block=2, skip_connections=True, trunk_head="flatten"),
)
LONGER = "longer: triplet, batch-hard"
RECIPES: dict[str, dict[str, Any]] = {
    "contrastive": dict(head="distance"),
    "logistic (Koch's head)": dict(head="logistic"),
    "triplet, batch-hard": dict(head="embedding", task=dict(mining="batch_hard")),
    "triplet, semi-hard": dict(head="embedding", task=dict(mining="semi_hard")),
    "normalized softmax": dict(head="proxies"),
    LONGER: dict(head="embedding", task=dict(mining="batch_hard"), images=400_000),
}


class Alphabets:
    """Drawings of characters at one size, 1 is ink."""

    def __init__(self) -> None:
        path = Path(os.environ.get("ZOO_DATA_DIR", "."), "omniglot_background_small.npz")
        if not path.is_file():
            raise click.UsageError(f"{path} is missing: name its folder with ZOO_DATA_DIR.")
        with np.load(path) as file:
            self.alphabet, self.drawer = file["alphabet"], file["drawer"]
            names = np.char.add(np.char.add(self.alphabet, "/"), file["character"])
            self.images = cut_to_ink(file["images"] * np.uint8(255), SIDE, border=BORDER)
        self.character = np.unique(names, return_inverse=True)[1]

    def part(self, rows: np.ndarray) -> Part:
        """Give drawings as a part; every quarter turn of a character is a character, too."""
        labels = np.unique(self.character[rows], return_inverse=True)[1]
        return with_rotations(Part(self.images[rows], labels.astype(np.int64)))

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


def fit(
    name: str, part: Part, augment: Augment, seed: int, recipe: dict[str, Any]
) -> tuple[keras.Model, float]:
    """Train a registered model on as many images as the recipe says; returns it, and seconds."""
    keras.utils.set_random_seed(seed)
    model, task = compiled(part, recipe, name)
    sides = len(model.inputs)
    size = recipe["batch_images"] // sides
    steps = len(task.batches(model, part, size, seed=seed))
    training = zoo.Recipe(
        epochs=round(recipe["images"] / (steps * size * sides)),
        batch_size=size,
        learning_rate=recipe["learning_rate"],
        learning_rate_schedule="cosine",
        weight_decay=recipe["weight_decay"],
        augment=augment,
        seed=seed,
    )
    compile_model(model, task, training)
    nothing = part.subset(np.arange(0))
    data = zoo.Dataset("drawings", part, nothing, nothing, ())
    started = time.perf_counter()
    fit_model(model, data, task, training, verbose=2)
    return model, time.perf_counter() - started


def compiled(
    part: Part, recipe: dict[str, Any], name: str = "siamese_cnn"
) -> tuple[keras.Model, VerificationTask]:
    task = VerificationTask(**recipe.get("task", {}))
    given = dict(input_shape=part.input_shape, num_classes=len(np.unique(part.labels)))
    with precision_scope(resolve_precision("auto")):
        model = zoo.create(name, **given, head=recipe["head"], **recipe.get("net", {}))
    training = zoo.Recipe(
        learning_rate=recipe["learning_rate"], weight_decay=recipe["weight_decay"]
    )
    compile_model(model, task, training)
    return model, task


def one_shot(
    model: keras.Model, data: Alphabets, alphabets: tuple[str, ...], views: int = 0
) -> dict[str, float]:
    """Name each query after the nearest example; percent right by alphabet, and their mean.

    With views, that many changed copies are made of each drawing. How far two drawings are apart is
    how far the nearest copy of the one is from the other, and the other way round, added up.
    """
    parts = zoo.sides(model)
    rows = np.flatnonzero(np.isin(data.alphabet, alphabets))
    images, rng = data.images[rows], np.random.default_rng(0)
    copies = [images, *(LETTERS(images, rng) for _ in range(views))]
    embeddings = [parts.left.predict(copy, verbose=0, batch_size=256) for copy in copies]
    place = np.zeros(len(data.images), np.int64)
    place[rows] = np.arange(len(rows))
    found = {}
    for alphabet in alphabets:
        trials = [(place[a], place[b]) for a, b in data.trials(alphabet)]
        queries = np.concatenate([np.repeat(query, WAYS) for _, query in trials])
        examples = np.concatenate([np.tile(example, WAYS) for example, _ in trials])
        there, back = np.inf, np.inf
        for copy in embeddings:
            there = np.minimum(there, parts.distances(embeddings[0], copy, queries, examples))
            back = np.minimum(back, parts.distances(copy, embeddings[0], queries, examples))
        nearest = (there + back).reshape(TRIALS, WAYS, WAYS).argmin(axis=2)
        found[alphabet] = round(100 * float((nearest == np.arange(WAYS)).mean()), 2)
    return {**found, "mean": round(statistics.mean(found.values()), 2)}


RUNS = click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("out/siamese_runs.jsonl"),
    show_default=True,
    help="Where each run's result is kept: another file after a change of the code.",
)
SEED_OPTION = click.option("--seed", "seeds", multiple=True, type=int, default=SEEDS)


@click.command()
@click.option("--validate", is_flag=True, help="Judge by four of the training alphabets.")
@click.option("--only", default="", help="Only recipes whose name begins so; nothing is reported.")
@RUNS
@SEED_OPTION
def main(validate: bool, only: str, runs: Path, seeds: tuple[int, ...]) -> None:
    """20-way one-shot accuracy on alphabets that were not trained with."""
    data = Alphabets()
    rows, files = [], []
    for judged, seed, name in itertools.product(
        VALIDATED if validate else (TESTED,), seeds, RECIPES
    ):
        if not name.startswith(only):
            continue
        recipe = {**TRAINING, **RECIPES[name]}
        files.append(runs.parent / f"{name}-{'-'.join(judged)}-{seed}.keras")
        key = (judged, seed, recipe)
        trained = once(runs, key, functools.partial(train, data, *key, files[-1]))
        run = functools.partial(judge, files[-1:], data, judged, VIEWS if name == LONGER else 0)
        rows.append({"recipe": name, "seed": seed, **trained, **once(runs, (*key, VIEWS), run)})
    if only:
        return
    judged = tuple(itertools.chain(*VALIDATED)) if validate else TESTED
    found: dict[str, Any] = {"pixels": nearest_pixels(data, judged), "augmented": repr(LETTERS)}
    if not validate:
        nets = [file for file in files if file.name.startswith(LONGER)]
        run = functools.partial(judge, nets, data, TESTED, VIEWS)
        key = (TESTED, seeds, {**TRAINING, **RECIPES[LONGER]}, VIEWS, "together")
        found[f"{len(nets)} longer nets"] = once(runs, key, run)
    means = averages(rows, "recipe", ("one view",))
    means += averages([row for row in rows if row["recipe"] == LONGER], "recipe", (MANY,))
    report(f"siamese_omniglot{'_validation' if validate else ''}", means, runs=rows, **found)


def train(
    data: Alphabets, judged: tuple[str, ...], seed: int, recipe: dict[str, Any], file: Path
) -> dict[str, Any]:
    """Train on the other alphabets, never on those of the test; the file takes the net."""
    part = data.part(np.flatnonzero(~np.isin(data.alphabet, (*TESTED, *judged))))
    model, seconds = fit("siamese_cnn", part, LETTERS, seed, recipe)
    file.parent.mkdir(parents=True, exist_ok=True)
    model.save(file)
    return {"parameters": model.count_params(), "seconds": round(seconds)}


def judge(
    files: Sequence[Path], data: Alphabets, alphabets: tuple[str, ...], views: int
) -> dict[str, Any]:
    """Percent right by a net, or by several together: the mean of the alphabets, and each."""
    model = keras.models.load_model(files[0])
    if len(files) > 1:
        model = together([zoo.sides(keras.models.load_model(file)).left for file in files])
    found = {}
    for way, count in ({"one view": 0} | ({MANY: views} if views else {})).items():
        by_alphabet = one_shot(model, data, alphabets, count)
        found |= {way: by_alphabet.pop("mean"), f"{way}, by alphabet": by_alphabet}
    return found


def together(nets: Sequence[keras.Model]) -> keras.Model:
    """Put embeddings side by side, and judge them as one of length 1."""
    image = keras.Input(nets[0].input_shape[1:], name="image")
    named = [keras.Model(net.input, net.output, name=f"net{n}") for n, net in enumerate(nets)]
    rows = keras.layers.Concatenate(name="nets")([net(image) for net in named])
    return zoo.embedding(keras.Model(image, rows))


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


if __name__ == "__main__":
    main()
