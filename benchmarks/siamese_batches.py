"""What batches teach a siamese network: some drawings of some characters, or pairs.

python benchmarks/siamese_batches.py              (6 minutes on two cores)

Images a second of both, sampling included, augmentation not; and what each takes, from the same
start and at a constant rate, until it is right in as many one-shot trials on alphabets that were
not trained with, which are judged after each epoch. Data, net and trials are those of siamese.py.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import keras
import numpy as np
from measure import interleaved, report, summary
from siamese import LETTERS, TESTED, TRAINING, VALIDATED, Alphabets, compiled, one_shot

STEPS = 40  # a round
JUDGED, TARGET, MOST_EPOCHS = VALIDATED[0], 85.0, 60
WAYS = {"16 classes x 4, semi-hard triplets": "embedding", "32 pairs, contrastive": "distance"}


@click.command()
@click.option("--rounds", default=7, show_default=True)
def main(rounds: int) -> None:
    """Images a second of batches of classes and of pairs, and what they take to the same place."""
    makers = {name: functools.partial(stepping, head) for name, head in WAYS.items()}
    times = interleaved(makers, rounds=rounds, steps=STEPS)
    data = Alphabets()
    rows = []
    for name, head in WAYS.items():
        row = {"batch of 64 images": name, **summary(times[name])}
        row["images a second"] = round(64e3 / statistics.median(times[name]))
        rows.append({**row, **until(data, head)})
    report("siamese_batches", rows, target=f"{TARGET} % one-shot on {' and '.join(JUDGED)}")


def stepping(head: str) -> Callable[[], None]:
    """Make what trains for some steps on drawings in memory."""
    data = Alphabets()
    part = data.part(np.arange(len(data.images)))
    model, task = compiled(part, dict(TRAINING, head=head))
    batches = task.batches(model, part, 64 // len(model.inputs), seed=0)
    return lambda: model.fit(batches, epochs=1, steps_per_epoch=STEPS, shuffle=False, verbose=0)


def until(data: Alphabets, head: str) -> dict[str, Any]:
    """Train until one-shot accuracy reaches the target after an epoch."""
    part = data.part(np.flatnonzero(~np.isin(data.alphabet, (*TESTED, *JUDGED))))
    keras.utils.set_random_seed(0)
    model, task = compiled(part, dict(TRAINING, head=head))
    batches = task.batches(model, part, 64 // len(model.inputs), seed=0, augment=LETTERS)
    seconds, epochs, accuracy = 0.0, 0, 0.0
    while accuracy < TARGET and epochs < MOST_EPOCHS:
        started = time.perf_counter()
        model.fit(batches, epochs=1, shuffle=False, verbose=2)
        seconds += time.perf_counter() - started
        epochs += 1
        accuracy = one_shot(model, data, JUDGED, 0)["mean"]
    images = epochs * len(batches) * 64
    return {"images": images, "seconds": round(seconds), "accuracy %": accuracy}


if __name__ == "__main__":
    main()
