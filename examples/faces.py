"""Recognize faces by nets whose filters belong to one place in the face, and see the filters.

python examples/faces.py                          (scikit-learn's Olivetti faces: a download)
python examples/faces.py --data faces.npz         (with x and y, or images and subject)

Trains `face_cnn` as it is, and twice without convolutions below, so that the filters stand on the
pixels themselves and can be seen: locally connected, from one kernel that all places start with,
and of low rank, where each place mixes the same four kernels. `filters.png` shows what training
made of them, place by place: how far the kernels moved from their common start and how (it is
little, so the change is drawn, not the kernels), and where each of the four is mixed in.
"""

from __future__ import annotations

from zoo.terminal import quiet_tensorflow, watching

quiet_tensorflow()  # before it is loaded by what follows

import time
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import zoo
import zoo.plots
import zoo.tasks
from zoo.data import Augment

ON_PIXELS = dict(num_shared_blocks=0, local_filters=8, embedding_dim=64)
NETS: dict[str, dict[str, Any]] = {
    "default": dict(first_filters=16),
    "local": dict(sharing="local", **ON_PIXELS),
    "low_rank": dict(sharing="low_rank", rank=4, **ON_PIXELS),
}
TRAINING = dict(batch_size=40, learning_rate_schedule="one_cycle", weight_decay=0.05)
LEARNING_RATE = {"default": 2e-3, "local": 1e-2, "low_rank": 1e-2}
LARGEST = 64  # larger images are made smaller: half as high and wide is a quarter of the time
CELL = 4  # the change of the kernels is averaged over 4 x 4 places


class SameStart(keras.callbacks.Callback):
    """Starts the kernels of all places as the first place's, so that what differs was learned."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Copy the first place's kernel to all."""
        kernel = self.model.get_layer("local1").kernel
        self.start = keras.ops.convert_to_numpy(kernel)[:1, :1]
        kernel.assign(np.broadcast_to(self.start, kernel.shape))


@click.command()
@click.option("--data", "path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--directory", type=click.Path(path_type=Path), default=Path("out/faces"))
@click.option("--epochs", default=40, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(path: Path | None, directory: Path, epochs: int, seed: int) -> None:
    """Train the nets, say how good they are, and draw their filters by position."""
    console = Console()
    data = load_faces(path, seed)
    console.print(f"[bold]data[/] {data}")
    table = Table(title="face_cnn")
    for column in ("net", "test accuracy", "parameters", "seconds", "run"):
        table.add_column(column)
    models, same_start = {}, SameStart()
    for name, arguments in NETS.items():
        console.rule(name)
        started = time.perf_counter()
        run = zoo.train(
            "face_cnn",
            data,
            arguments=arguments,
            **TRAINING,
            epochs=epochs,
            learning_rate=LEARNING_RATE[name],
            augment=Augment(flip=name == "default", shift=2),  # a mirror would mix left and right
            seed=seed,
            directory=directory / name,
            **watching(callbacks=[same_start] if name == "local" else []),
        )
        seconds = time.perf_counter() - started
        zoo.plots.learning_curves(run.history, directory / name / "learning_curves.png")
        zoo.tasks.get("classification").draw(run.model, data, directory / name)
        table.add_row(
            name,
            f"{run.metrics['accuracy']:.2%} of {len(data.test)} images",
            f"{run.model.count_params():,}",
            f"{seconds:.0f}",
            str(run.directory),
        )
        models[name] = run.model
    console.print(table)

    figure = Figure(figsize=(15, 8), layout="constrained")
    rows = figure.subplots(2, 5)
    face = data.train.examples(np.arange(len(data.train))).mean(axis=(0, 3))
    draw_local(rows[0], models["local"].get_layer("local1"), same_start.start, face)
    draw_low_rank(rows[1], models["low_rank"].get_layer("local1"))
    figure.savefig(directory / "filters.png", dpi=120)
    console.print(f"filters by position: {directory / 'filters.png'}")


def load_faces(path: Path | None, seed: int) -> zoo.Dataset:
    """Faces by the path of an `.npz` file, or scikit-learn's."""
    if path is None:
        try:
            return zoo.load_data("olivetti_faces", seed=seed)
        except OSError as error:
            raise click.ClickException(
                "Without --data, scikit-learn downloads the Olivetti faces, and could not. Give "
                "an .npz file of arrays x and y, images and labels: --data faces.npz"
            ) from error
    with np.load(path) as file:
        if not {"images", "subject"} <= set(file.files):
            return zoo.load_data(path, seed=seed)
        images, people = file["images"], file["subject"]
    return zoo.load_data((smaller(images), np.unique(people, return_inverse=True)[1]), seed=seed)


def smaller(images: np.ndarray) -> np.ndarray:
    """Means of whole blocks of pixels: (n, height, width), uint8."""
    side = -(-max(images.shape[1:]) // LARGEST)
    height, width = (size // side for size in images.shape[1:])
    blocks = images[:, : height * side, : width * side].reshape(-1, height, side, width, side)
    return blocks.mean(axis=(2, 4)).round().astype(np.uint8)


def draw_local(
    axes: np.ndarray, layer: keras.layers.Layer, start: np.ndarray, face: np.ndarray
) -> None:
    """Draw the mean face, how far the kernels moved, and three filters' change by position."""
    change = keras.ops.convert_to_numpy(layer.kernel) - start  # (rows, columns, 9, filters)
    moved = np.sqrt(np.square(change).sum(axis=(2, 3))) / np.linalg.norm(start)
    show(axes[0], face, "mean face", cmap="gray")
    show(axes[1], moved, f"local: kernels' change\n(median {np.median(moved):.0%})", cmap="magma")
    rows, columns = (size // CELL for size in change.shape[:2])
    cells = change[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL, 3, 3, -1)
    cells = cells.mean(axis=(1, 3))  # (rows, columns, 3, 3, filters)
    inside = cells[1:-1, 1:-1]  # without the border, which sees zeros outside of the image
    for axis, index in zip(
        axes[2:], np.argsort(-np.square(inside).sum((0, 1, 2, 3))), strict=False
    ):
        framed = np.pad(cells[..., index], [(0, 0), (0, 0), (0, 1), (0, 1)], constant_values=np.nan)
        mosaic = framed.transpose(0, 2, 1, 3).reshape(4 * rows, 4 * columns)
        largest = np.quantile(np.abs(inside[..., index]), 0.98)
        title = f"local: change of filter {index},\nmean of {CELL} x {CELL} places"
        show(axis, mosaic, title, cmap="RdBu_r", vmin=-largest, vmax=largest)


def draw_low_rank(axes: np.ndarray, layer: keras.layers.Layer) -> None:
    """Draw the kernels of one filter, and where each is mixed in more or less than the others."""
    weights = keras.ops.convert_to_numpy(layer.combining_weights())  # (rows, columns, rank)
    rank = weights.shape[-1]
    kernels = keras.ops.convert_to_numpy(layer.banks.kernel).reshape(3, 3, rank, -1)
    framed = np.pad(kernels[..., 0], [(0, 1), (0, 1), (0, 0)], constant_values=np.nan)
    picture = np.concatenate(np.split(framed, rank, axis=2), axis=0)[..., 0]
    largest = np.abs(kernels[..., 0]).max()
    title = f"low rank: the {rank} kernels\nof filter 0"
    show(axes[0], picture, title, cmap="RdBu_r", vmin=-largest, vmax=largest)
    spread = np.quantile(np.abs(weights - 1 / rank), 0.99)
    for index, axis in enumerate(axes[1:]):
        title = f"low rank: share of kernel {index + 1}\n(white {1 / rank:.0%}, red more)"
        limits = dict(vmin=1 / rank - spread, vmax=1 / rank + spread)
        show(axis, weights[..., index], title, cmap="RdBu_r", **limits)


def show(axes: Axes, picture: np.ndarray, title: str, **options: Any) -> None:
    """Draw a picture with its scale below."""
    image = axes.imshow(picture, **options)
    axes.figure.colorbar(image, ax=axes, shrink=0.7, orientation="horizontal")
    axes.set(title=title, xticks=[], yticks=[])


if __name__ == "__main__":
    main()
