"""How well the autoencoders rebuild and denoise, with the classic methods beside them.

    python benchmarks/autoencoders.py hinton      # MNIST in 30 values: the paper's figure
    python benchmarks/autoencoders.py denoising   # MNIST, Gaussian noise
    python benchmarks/autoencoders.py linear      # against principal components, and their density
    python benchmarks/autoencoders.py digits      # against principal components, 2, 4 and 8 values
    python benchmarks/autoencoders.py detection   # one digit against the others
    python benchmarks/autoencoders.py speed       # a training step against the same net by hand

MNIST is read by name: see `zoo.load_data`. Each part has three seeds; results go to
results/autoencoders_PART.json.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from typing import Any

import click
import keras
import numpy as np
from measure import report
from scipy.ndimage import median_filter
from sklearn.decomposition import PCA

import zoo

SEEDS = (0, 1, 2)

# Chosen on 5,000 images of the training part, trained on the others for 12 epochs.
HINTON: dict[str, Any] = dict(
    epochs=60,
    batch_size=128,
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=1e-2,
    learning_rate_schedule="cosine",
)
DENOISING: dict[str, Any] = dict(HINTON, epochs=30)
NET: dict[str, Any] = dict(
    kind="denoising",
    noise_level=0.4,
    hidden_units=(1000, 500),
    latent_dim=128,
    activation="gelu",
    data_range="binary",
)


def fit(name: str, data: Any, seed: int, arguments: dict[str, Any], recipe: dict[str, Any]) -> Any:
    """Train a model; returns the run and the seconds that it took."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        run = zoo.train(
            name, data, arguments=arguments, seed=seed, directory=directory, verbose=2, **recipe
        )
    return run, time.perf_counter() - started


def pixels(part: Any) -> np.ndarray:
    return part.images(np.arange(len(part)))


def squared_error(images: np.ndarray, rebuilt: np.ndarray) -> float:
    """Squared error of an image, summed over its pixels, on average."""
    return float(np.square(images - rebuilt).sum(axis=(1, 2, 3)).mean())


def psnr(images: np.ndarray, rebuilt: np.ndarray) -> float:
    """Of each image, in decibels, then the mean."""
    return float((-10 * np.log10(np.square(images - rebuilt).mean(axis=(1, 2, 3)))).mean())


def of_pca(train: np.ndarray, test: np.ndarray, components: int) -> np.ndarray:
    pca = PCA(components, random_state=0).fit(train.reshape(len(train), -1))
    codes = pca.transform(test.reshape(len(test), -1))
    return pca.inverse_transform(codes).reshape(test.shape)


def spread(values: list[float]) -> dict[str, float]:
    """Mean and standard deviation over the seeds."""
    return {"mean": statistics.mean(values), "sd": statistics.stdev(values)}


@click.group()
def main() -> None:
    """Measure the autoencoders."""


@main.command()
def hinton() -> None:
    """Squared error of a test image from 30 values, the paper's net and principal components."""
    data = zoo.load_data("mnist", validation_fraction=0)
    test = pixels(data.test)
    rows = []
    for seed in SEEDS:
        run, seconds = fit("hinton_autoencoder", data, seed, {}, HINTON)
        rebuilt = run.model.predict(test, batch_size=1000, verbose=0)
        rows.append(
            {
                "seed": seed,
                "squared error": round(squared_error(test, rebuilt), 3),
                "training, last epoch": round(784 * run.history["mse"][-1], 3),
                "minutes": round(seconds / 60, 1),
            }
        )
        report(
            "autoencoders_hinton",
            rows,
            recipe=HINTON,
            paper={"autoencoder": 3.00, "PCA": 13.87},
            pca=round(squared_error(test, of_pca(pixels(data.train), test, 30)), 3),
        )


@main.command()
@click.option("--validate", is_flag=True, help="Judge one seed by 5,000 training images.")
def denoising(validate: bool) -> None:
    """PSNR of MNIST with Gaussian noise of 0.4, cut to [0, 1], after several cures."""
    data = zoo.load_data("mnist", validation_fraction=1 / 12 if validate else 0)
    test = pixels(data.validation if validate else data.test)
    noise = np.random.default_rng(0).normal(0, 0.4, test.shape)
    noisy = np.clip(test + noise, 0, 1).astype("float32")
    train = pixels(data.train)
    damaged = np.clip(train + np.random.default_rng(1).normal(0, 0.4, train.shape), 0, 1)
    found = {
        "noisy": psnr(test, noisy),
        "median filter, 3x3": psnr(test, median_filter(noisy, size=(1, 3, 3, 1))),
        "PCA of noisy images, 32 components": psnr(test, of_pca(damaged, noisy, 32)),
    }
    of_ours, minutes = [], []
    for seed in SEEDS[:1] if validate else SEEDS:
        run, seconds = fit("dense_autoencoder", data, seed, NET, DENOISING)
        of_ours.append(psnr(test, run.model.predict(noisy, batch_size=1000, verbose=0)))
        minutes.append(round(seconds / 60, 1))
        print(seed, found, of_ours, minutes)
    if validate:
        return
    rows = [{"cure": name, "PSNR": round(value, 2)} for name, value in found.items()]
    rows.append({"cure": "dense_autoencoder", "PSNR": round(statistics.mean(of_ours), 2)})
    report(
        "autoencoders_denoising",
        rows,
        of_seeds=of_ours,
        minutes=minutes,
        net=NET,
        recipe=DENOISING,
        parameters=run.model.count_params(),
    )


if __name__ == "__main__":
    keras.utils.disable_interactive_logging()
    main()
