"""Recognize faces by a net whose upper filters belong to one place in the face, and see them.

python examples/faces.py                          (scikit-learn's Olivetti faces: a download)
python examples/faces.py --data faces.npz         (with x and y, or images and subject)

Trains `face_cnn` twice, with a locally connected top and with a convolution there, and draws what
the top's filters look for at some places of the face: a convolution's look for the same everywhere.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from rich.console import Console
from rich.table import Table

import zoo
import zoo.plots
import zoo.tasks
from zoo.data.augment import Augment

ARGUMENTS = dict(first_filters=16)
TRAINING = dict(
    epochs=40,
    batch_size=40,
    learning_rate=2e-3,
    learning_rate_schedule="one_cycle",
    weight_decay=0.05,
    augment=Augment(flip=True, shift=3),
)
LARGEST = 64  # larger images are made smaller: half as high and wide is a quarter of the time
FIELD = 24  # pixels, each way, that a filter above two blocks sees; its place moves by 4 pixels
PLACES = (4, 3)  # rows and columns of places, evenly over the face
FILTERS = 4


@click.command()
@click.option("--data", "path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--directory", type=click.Path(path_type=Path), default=Path("out/faces"))
@click.option("--epochs", default=TRAINING["epochs"], show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(path: Path | None, directory: Path, epochs: int, seed: int) -> None:
    """Train both nets, say how good they are, and draw their filters by position."""
    console = Console()
    data = load_faces(path, seed)
    console.print(f"[bold]data[/] {data}")
    table = Table(title="face_cnn")
    for column in ("top", "test accuracy", "parameters", "seconds", "run"):
        table.add_column(column)
    models = {}
    for sharing in ("local", "shared"):
        console.rule(sharing)
        started = time.perf_counter()
        run = zoo.train(
            "face_cnn",
            data,
            arguments=dict(sharing=sharing, **ARGUMENTS),
            **{**TRAINING, "epochs": epochs},
            seed=seed,
            directory=directory / sharing,
        )
        seconds = time.perf_counter() - started
        zoo.plots.learning_curves(run.history, directory / sharing / "learning_curves.png")
        zoo.tasks.get("classification").draw(run.model, data, directory / sharing)
        table.add_row(
            sharing,
            f"{run.metrics['accuracy']:.2%} of {len(data.test)} images",
            f"{run.model.count_params():,}",
            f"{seconds:.0f}",
            str(run.directory),
        )
        models[sharing] = run.model
    console.print(table)
    mean_face = data.train.images(np.arange(len(data.train))).mean(axis=0)
    console.print("filters by position:", str(draw(models, mean_face, directory / "filters.png")))


def load_faces(path: Path | None, seed: int) -> zoo.Dataset:
    """Faces by the path of an `.npz` file, or scikit-learn's."""
    if path is None:
        try:
            return zoo.load_data("olivetti_faces", seed=seed)
        except OSError as error:
            raise click.ClickException(
                "Without --data, scikit-learn downloads the Olivetti faces, and could not. Give "
                "an .npz file with images and labels: --data faces.npz"
            ) from error
    with np.load(path) as file:
        if not {"images", "subject"} <= set(file.files):
            return zoo.load_data(path, seed=seed)
        images, people = file["images"], file["subject"]
    labels = np.unique(people, return_inverse=True)[1]
    return zoo.load_data((shrunk(images), labels), seed=seed)


def shrunk(images: np.ndarray) -> np.ndarray:
    """Means of whole blocks of pixels: (n, height, width), uint8."""
    side = -(-max(images.shape[1:]) // LARGEST)
    height, width = (size // side for size in images.shape[1:])
    blocks = images[:, : height * side, : width * side].reshape(-1, height, side, width, side)
    return blocks.mean(axis=(2, 4)).round().astype(np.uint8)


def sensitivity(model: keras.Model, face: np.ndarray, step: float = 0.05) -> np.ndarray:
    """How the top's outputs change with each pixel of a face, by central differences.

    Gives (height, width, rows, columns, filters): the top's filters, seen through the layers below.
    """
    top = keras.Model(model.input, model.get_layer("local1").output)
    height, width = face.shape[:2]
    one_pixel = np.eye(height * width, dtype=face.dtype).reshape(-1, height, width, 1)
    raised, lowered = (
        top.predict(face + change * one_pixel, batch_size=64, verbose=0) for change in (step, -step)
    )
    return ((raised - lowered) / (2 * step)).reshape(height, width, *raised.shape[1:])


def draw(models: dict[str, keras.Model], face: np.ndarray, path: Path) -> Path:
    """Draw some filters of each model at some places of the face, beside the mean face."""
    figure = Figure(figsize=(3 * (FILTERS + 1), 4.2 * len(models)), layout="constrained")
    rows = figure.subplots(len(models), FILTERS + 1)
    for (name, model), axes in zip(models.items(), rows, strict=True):
        seen = sensitivity(model, face)
        places = [
            (int(row), int(column))
            for row in np.linspace(2, seen.shape[2] - 4, PLACES[0]).round()
            for column in np.linspace(2, seen.shape[3] - 4, PLACES[1]).round()
        ]
        draw_places(axes[0], face, places, f"mean face\n{name}")
        strongest = np.argsort(-np.square(seen).sum(axis=(0, 1, 2, 3)))[:FILTERS]
        for axis, index in zip(axes[1:], strongest, strict=True):
            patches = [field(seen[:, :, row, column, index], row, column) for row, column in places]
            draw_patches(axis, patches, f"filter {index}")
    figure.savefig(path, dpi=120)
    return path


def corner(place: int) -> int:
    """First pixel, each way, that a place sees; may lie outside the image."""
    return 4 * place - (FIELD - 4) // 2


def field(pixels: np.ndarray, row: int, column: int) -> np.ndarray:
    """Cut out what a place sees: (FIELD, FIELD), 0 outside the image."""
    padded = np.pad(pixels, FIELD)
    top, left = corner(row) + FIELD, corner(column) + FIELD
    return padded[top : top + FIELD, left : left + FIELD]


def draw_places(axes: Axes, face: np.ndarray, places: list[tuple[int, int]], title: str) -> None:
    """Draw a face and frames around what is seen from each place."""
    axes.imshow(face.squeeze(), cmap="gray")
    for row, column in places:
        axes.add_patch(
            Rectangle((corner(column), corner(row)), FIELD, FIELD, fill=False, color="tab:orange")
        )
    axes.set(title=title, xticks=[], yticks=[])


def draw_patches(axes: Axes, patches: list[np.ndarray], title: str) -> None:
    """Draw patches where their places are; red raises the filter's answer, blue lowers it."""
    framed = [np.pad(patch / np.abs(patch).max(), 1, constant_values=np.nan) for patch in patches]
    columns = PLACES[1]
    picture = np.block([framed[i : i + columns] for i in range(0, len(framed), columns)])
    axes.imshow(picture, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set(title=title, xticks=[], yticks=[])


if __name__ == "__main__":
    main()
