"""Learn to tell characters apart that nobody trained with, and use it: verify, search, export.

python examples/omniglot.py --data omniglot_background_small.npz
python examples/omniglot.py --data letters.npz   (with x and y)

The first file holds `images` (n, 105, 105) of 0 and 1, `alphabet` and `character`. All alphabets
train; a tenth of the characters are kept for the threshold, and another tenth to judge by. Every
quarter turn of a character counts as a character, too. Then three characters of the test part are
enrolled by one drawing each, and the others of them are looked up.
"""

from __future__ import annotations

from zoo.terminal import quiet_tensorflow, watching

quiet_tensorflow()  # before it is loaded by what follows

import dataclasses
from pathlib import Path

import click
import numpy as np
from rich.console import Console

import zoo
from zoo.data import Augment, cut_to_ink, with_rotations

NET = dict(
    head="embedding",
    filters=(32, 64, 128),
    convs_per_block=2,
    skip_connections=True,
    trunk_head="flatten",
)


@click.command()
@click.option(
    "--data", "path", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True
)
@click.option("--directory", type=click.Path(path_type=Path), default=Path("out/omniglot"))
@click.option("--epochs", default=16, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(path: Path, directory: Path, epochs: int, seed: int) -> None:
    """Train, judge, enrol, search and export."""
    console = Console()
    data = load_characters(path, seed)
    console.print(f"[bold]data[/] {data}")
    turned = with_rotations(data.train, num_classes=data.num_classes)
    run = zoo.train(
        "siamese_cnn",
        dataclasses.replace(data, train=turned),
        arguments=NET,
        task=zoo.tasks.VerificationTask(mining="batch_hard"),
        epochs=epochs,
        learning_rate=2e-3,
        learning_rate_schedule="cosine",
        weight_decay=0.01,
        augment=Augment(shift=data.input_shape[0] // 17, turn=15, zoom=0.15, shear=15),
        seed=seed,
        directory=directory / "run",
        **watching(),
    )
    console.print("[bold]characters never seen[/]", run.metrics)
    zoo.plots.learning_curves(run.history, directory / "learning_curves.png")

    verifier = zoo.Verifier(run.model)
    images, labels = data.test.examples(np.arange(len(data.test))), data.test.labels
    verifier.draw(images, labels, directory)
    known = np.unique(labels)[:3]
    first = [int(np.flatnonzero(labels == label)[0]) for label in known]
    verifier.enrol(images[first], [data.class_names[label] for label in known])
    asked = np.setdiff1d(np.flatnonzero(np.isin(labels, known)), first)
    found, distances = verifier.search(images[asked])
    right = found[:, 0] == [data.class_names[label] for label in labels[asked]]
    near = distances[:, 0] <= verifier.threshold
    console.print(
        f"three characters enrolled by a drawing each: {right.mean():.1%} of {len(asked)} others "
        f"found, {near.mean():.1%} of them within the threshold"
    )
    verifier.save(directory / "verifier")
    served = directory / "served" / "1"
    result = zoo.export_saved_model(verifier.model, served, signatures=verifier.signatures())
    console.print(f"{result.path}: {', '.join(result.signatures)}; pictures in {directory}")


def load_characters(path: Path, seed: int) -> zoo.Dataset:
    """Split characters, not drawings, into three parts."""
    parts = dict(split_by="classes", validation_fraction=0.1, test_fraction=0.1, seed=seed)
    with np.load(path) as file:
        if not {"images", "alphabet", "character"} <= set(file.files):
            return zoo.load_data(path, **parts)
        drawn, names = file["images"], np.char.add(file["alphabet"], " ")
        names = np.char.add(names, np.char.replace(file["character"], "character", ""))
    small = cut_to_ink(drawn * np.uint8(255), 35, border=3)
    class_names, labels = np.unique(names, return_inverse=True)
    data = zoo.load_data((small, labels), **parts)
    return dataclasses.replace(data, name=path.stem, class_names=tuple(map(str, class_names)))


if __name__ == "__main__":
    main()
