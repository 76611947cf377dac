"""What folders of images cost: `zoo.load_data` and one pass over the batches.

python benchmarks/folders.py [--before CHECKOUT]        (about 5 minutes)

1,500 photo-like files, half of them JPEG and half PNG, 240 x 320, as they are and resized to
128 x 128. With the root of another checkout of this project, both take turns.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np
from measure import interleaved, report, summary
from PIL import Image

FILES, BATCH = 1500, 32


def write_photos(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for index in range(FILES):
        coarse = Image.fromarray(generator.integers(0, 256, (16, 20, 3), dtype="uint8"))
        photo = np.array(coarse.resize((320, 240), Image.Resampling.BICUBIC), dtype=np.int16)
        photo += generator.integers(-4, 5, photo.shape, dtype=np.int16)  # as a camera's noise
        path = folder / str(index % 10) / f"{index}.{'jpg' if index % 4 < 2 else 'png'}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(photo.clip(0, 255).astype("uint8")).save(path)


def reading(
    checkout: str | None, folder: str, image_size: tuple[int, int] | None
) -> Callable[[], None]:
    if checkout:
        sys.path.insert(0, checkout)
    import zoo  # here, so that a process can choose its checkout

    def run() -> None:
        data = zoo.load_data(folder, image_size=image_size, test_fraction=0.1)
        for part in (data.train, data.validation, data.test):
            for _ in part.batches(BATCH):
                pass

    return run


@click.command()
@click.option("--before", help="Root of another checkout of this project.")
@click.option("--rounds", default=7, show_default=True)
def main(before: str | None, rounds: int) -> None:
    """Time loading and one pass, with and without resizing."""
    checkouts = {"here": None, **({"before": before} if before else {})}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder))
        for size in (None, (128, 128)):
            contestants = {
                name: partial(reading, checkout, folder, size)
                for name, checkout in checkouts.items()
            }
            times = interleaved(contestants, rounds=rounds, steps=1)
            rows += [
                {"checkout": name, "resized to": str(size), **summary(values)}
                for name, values in times.items()
            ]
    report("folders", rows)


if __name__ == "__main__":
    main()
