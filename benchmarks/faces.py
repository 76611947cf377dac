"""Who is it? `face_cnn` on the ORL faces, its top unshared, of low rank, or shared.

python benchmarks/faces.py              (half an hour on two cores; goes on where it stopped)
python benchmarks/faces.py --validate   (half an hour; the recipe and what it was chosen from)

Needs `orl_faces.npz` in the folder that ZOO_DATA_DIR names: `images` (400, 112, 92) uint8,
`subject` 1 to 40, `pose` 1 to 10 (AT&T Laboratories Cambridge; Samaria and Harter 1994), here at 46
x 56 pixels. The first five images of each of the 40 people train, the last five test.

The recipe was chosen within the first five alone: three of them train, two validate, in turn. Only
the finished recipe saw the test images. Seeds set initial weights, the order of images and their
augmentation. Every training has as many steps: an epoch is 200 images, in which those of a smaller
training set come again. Where training mirrors images, the test averages the probabilities of an
image and of its mirror image. A step's time holds the making of its batch.

The study trains shorter: with fewer images, without augmentation, and with faces shifted by up to 6
pixels; it tests each net on faces as they are and shifted at random by up to 3 and 6 pixels.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import itertools
import json
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from measure import report
from PIL import Image
from rich.progress import track
from scipy import ndimage
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

import zoo
import zoo.tasks
from zoo.data import Part
from zoo.training.fit import compile_model, fit_model

HEIGHT, WIDTH, PEOPLE, EPOCH = 56, 46, 40, 200
TESTED = [6, 7, 8, 9, 10]


@dataclass(frozen=True)
class Warp:
    """Mirrors (half of the images), moves and relights each image by its own draw."""

    flip: bool = True
    shift: float = 0  # at most, in pixels each way; borders repeat
    turn: float = 0  # at most, in degrees
    zoom: float = 0  # at most, as a part of the image's size
    light: float = 0  # contrast changes by at most this part, brightness by half as much of white

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.stack([self._warp(image[..., 0], rng) for image in images])[..., None]

    def _warp(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        angle = np.deg2rad(rng.uniform(-self.turn, self.turn))
        zoom = (1 + self.zoom) ** rng.uniform(-1, 1)
        mirror = -1 if self.flip and rng.random() < 0.5 else 1
        cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
        # From a pixel of the result to where it comes from, both counted from the centre.
        matrix = np.array([[cosine, -sine], [mirror * sine, mirror * cosine]])
        centre = (np.array(image.shape) - 1) / 2
        offset = centre - matrix @ centre + rng.uniform(-self.shift, self.shift, 2)
        moved = ndimage.affine_transform(image, matrix, offset, order=1, mode="nearest")
        contrast = (1 + self.light) ** rng.uniform(-1, 1)
        grey = 0.5 + rng.uniform(-self.light, self.light) / 2
        return ((moved - 0.5) * contrast + grey).clip(0, 1)


# The recipe; a run is the recipe with some values changed.
NET = dict(sharing="local", first_filters=16, local_filters=64, dropout=0.0)
TRAINING = dict(epochs=60, batch_size=20, learning_rate=2e-3, weight_decay=0.05, augment="all")
AUGMENT = {
    "none": None,
    "all": Warp(shift=2, turn=8, zoom=0.1, light=0.4),
    "not mirrored": Warp(flip=False, shift=2, turn=8, zoom=0.1, light=0.4),
    "no light": Warp(shift=2, turn=8, zoom=0.1),
    "stronger": Warp(shift=4, turn=15, zoom=0.15, light=0.4),
    "shifts of 6": Warp(shift=6, turn=8, zoom=0.1, light=0.4),
}
NETS: dict[str, dict[str, Any]] = {
    "local": {},
    "low rank": dict(sharing="low_rank"),
    "shared, equal filters": dict(sharing="shared"),
    "shared, equal parameters": dict(sharing="shared", local_filters=205),
}
STUDY_NETS = ("local", "low rank", "shared, equal filters")
STUDY_EPOCHS = 25
STUDY = {  # augmentation and numbers of images a person
    "augmented": ("all", (1, 2, 3, 4, 5)),
    "not augmented": ("none", (1, 3, 5)),
    "shifted by 6": ("shifts of 6", (5,)),
}
SHIFTS = (0, 3, 6)  # of the test images, at most, in pixels
CANDIDATES: dict[str, dict[str, Any]] = {
    "nothing": {},
    **{f"augment={name}": dict(augment=name) for name in AUGMENT if name != "all"},
    "epochs=30": dict(epochs=30),
    "dropout=0.4": dict(dropout=0.4),
    "sharing=low_rank": dict(sharing="low_rank"),
    "sharing=shared": dict(sharing="shared"),
}


@dataclass(frozen=True)
class Faces:
    images: np.ndarray  # (400, 56, 46, 1), in [0, 1]
    labels: np.ndarray  # (400,), 0 to 39
    pose: np.ndarray  # (400,), 1 to 10

    def rows(self, poses: Iterable[int]) -> np.ndarray:
        return np.concatenate([np.flatnonzero(self.pose == pose) for pose in poses])


def load_faces() -> Faces:
    path = Path(os.environ.get("ZOO_DATA_DIR", "."), "orl_faces.npz")
    if not path.is_file():
        raise click.UsageError(f"{path} is missing: name its folder with ZOO_DATA_DIR.")
    with np.load(path) as file:
        images, subject, pose = file["images"], file["subject"], file["pose"]
    small = [Image.fromarray(i).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR) for i in images]
    pixels = np.stack([np.asarray(image) for image in small])[..., None] / np.float32(255)
    return Faces(pixels, subject.astype(np.int64) - 1, pose)


def measure(
    faces: Faces, poses: list[int], tested: list[int], seed: int, **changes: Any
) -> dict[str, Any]:
    """Train on some images of each person; test on others, as they are and shifted."""
    recipe = {**NET, **TRAINING, **changes}
    steps = EPOCH // recipe["batch_size"]
    training = zoo.Recipe(
        **{name: recipe[name] for name in TRAINING if name != "augment"},
        augment=AUGMENT[recipe["augment"]],
        learning_rate_schedule="one_cycle",
        seed=seed,
    )
    keras.utils.set_random_seed(seed)
    model = zoo.face_cnn((HEIGHT, WIDTH, 1), PEOPLE, **{key: recipe[key] for key in NET})
    task = zoo.tasks.get("classification")
    compile_model(model, task, training)
    part = Part(faces.images, faces.labels, np.resize(faces.rows(poses), EPOCH))
    nothing = part.subset(np.arange(0))
    data = zoo.Dataset("faces", part, nothing, nothing, tuple(map(str, range(PEOPLE))))
    augment, now = training.augment, time.perf_counter
    times = [now()]
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: times.append(now()))
    fit_model(model, data, task, training, callbacks=[clock], verbose=0)
    found = {
        "parameters": model.count_params(),
        "seconds": times[-1] - times[0],
        "ms a step": statistics.median(np.diff(times).tolist()) / steps * 1e3,
    }
    rows = faces.rows(tested)
    for shift in SHIFTS:
        images = Warp(flip=False, shift=shift)(faces.images[rows], np.random.default_rng(seed))
        views = [images, images[:, :, ::-1]] if augment and augment.flip else [images]
        scores = np.mean([keras.ops.convert_to_numpy(model(view)) for view in views], axis=0)
        right = scores[np.arange(len(rows)), faces.labels[rows]]
        found[f"accuracy {shift}"] = float(np.mean(scores.argmax(1) == faces.labels[rows]))
        found[f"loss {shift}"] = float(-np.log(np.maximum(right, 1e-9)).mean())
    keras.backend.clear_session()
    return found


class Runs:
    """Measures each run once: what is found goes to a file, a line a run."""

    def __init__(self, faces: Faces, path: Path) -> None:
        self.faces, self.path = faces, path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.found: dict[str, dict[str, Any]] = dict(json.loads(line) for line in lines)

    def measure(self, groups: dict[Any, list[dict[str, Any]]]) -> dict[Any, list[dict[str, Any]]]:
        """Measure each group's first run, then the second: a slow moment meets all alike."""
        turns = list(itertools.chain.from_iterable(zip(*groups.values(), strict=True)))
        for run in track(turns, "trainings"):
            if key(run) not in self.found:
                self.found[key(run)] = measure(self.faces, **run)
                with self.path.open("a") as file:
                    file.write(json.dumps([key(run), self.found[key(run)]]) + "\n")
        return {name: [self.found[key(run)] for run in group] for name, group in groups.items()}


def key(run: dict[str, Any]) -> str:
    """All that decides a run: the recipe as changed, the augmentation's values, the images."""
    values = {**NET, **TRAINING, **run}
    return repr(sorted({**values, "augment": AUGMENT[values["augment"]]}.items()))


def final_runs(seeds: int, images: int = 5, **changes: Any) -> list[dict[str, Any]]:
    poses = list(range(1, images + 1))
    return [dict(poses=poses, tested=TESTED, seed=seed, **changes) for seed in range(seeds)]


def rotations(**changes: Any) -> list[dict[str, Any]]:
    """Runs within the first five images: three of each person train, two validate."""
    held_out = [[pose, pose % 5 + 1] for pose in range(1, 6)]
    return [
        dict(poses=sorted({1, 2, 3, 4, 5} - set(pair)), tested=pair, seed=0, **changes)
        for pair in held_out
    ]


def summary(found: list[dict[str, Any]], shifts: Iterable[int] = (0,)) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for shift in shifts:
        accuracies = [100 * run[f"accuracy {shift}"] for run in found]
        where = f", shifted by {shift}" if shift else ""
        row[f"accuracy %{where}"] = round(statistics.mean(accuracies), 2)
        row[f"sd{where}"] = round(statistics.stdev(accuracies), 2)
    return row


def cost(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "runs": len(found),
        "parameters": found[0]["parameters"],
        "training s": round(statistics.median(run["seconds"] for run in found), 1),
        "ms a step": round(statistics.median(run["ms a step"] for run in found), 1),
    }


def floors(faces: Faces) -> dict[str, float]:
    neighbour, full = KNeighborsClassifier(1), dict(svd_solver="full")
    models = {
        "1-NN on pixels": neighbour,
        "eigenfaces: PCA-60, 1-NN": make_pipeline(PCA(60, **full), neighbour),
        "PCA-40, LDA": make_pipeline(PCA(40, **full), LinearDiscriminantAnalysis()),
    }
    flat, labels = faces.images.reshape(len(faces.images), -1), faces.labels
    old, new = faces.rows(range(1, 6)), faces.rows(TESTED)
    return {
        name: round(100 * model.fit(flat[old], labels[old]).score(flat[new], labels[new]), 2)
        for name, model in models.items()
    }


def validate(runs: Runs) -> None:
    found = runs.measure({name: rotations(**changes) for name, changes in CANDIDATES.items()})
    rows = []
    for name, group in found.items():
        loss = round(statistics.mean(run["loss 0"] for run in group), 3)
        rows.append({"changed": name, **summary(group), "log loss": loss, **cost(group)})
    report("faces_validation", rows, recipe={**NET, **TRAINING})


def compare(runs: Runs, seeds: int) -> None:
    found = runs.measure({name: final_runs(seeds, **changes) for name, changes in NETS.items()})
    rows = [{"net": name, **summary(group), **cost(group)} for name, group in found.items()]
    report("faces", rows, floors=floors(runs.faces), recipe={**NET, **TRAINING})


def study(runs: Runs, seeds: int) -> None:
    groups = {
        (training, images, net): final_runs(
            seeds, images, augment=augment, epochs=STUDY_EPOCHS, **NETS[net]
        )
        for training, (augment, counts) in STUDY.items()
        for images in counts
        for net in STUDY_NETS
    }
    rows = [
        {"training": training, "images a person": images, "net": net, **summary(group, SHIFTS)}
        for (training, images, net), group in runs.measure(groups).items()
    ]
    report("faces_study", rows, seeds=seeds, epochs=STUDY_EPOCHS, augmentations=repr(AUGMENT))


@click.command()
@click.option("--seeds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--study-seeds", type=click.IntRange(2), default=3, show_default=True)
@click.option("--validate", "only_validate", is_flag=True, help="Compare recipes, not nets.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("out/faces_runs.jsonl"))
def main(seeds: int, study_seeds: int, only_validate: bool, runs: Path) -> None:
    """Compare nets on the test images, or recipes within the training images."""
    measured = Runs(load_faces(), runs)
    if only_validate:
        validate(measured)
    else:
        compare(measured, seeds)
        study(measured, study_seeds)


if __name__ == "__main__":
    main()
