"""How well the autoencoders rebuild and denoise, with the classic methods beside them.

    python benchmarks/autoencoders.py hinton      # MNIST in 30 values: the paper's figure
    python benchmarks/autoencoders.py denoising   # MNIST, Gaussian noise
    python benchmarks/autoencoders.py linear      # against principal components, and their density
    python benchmarks/autoencoders.py digits      # against principal components, 2, 4 and 8 values
    python benchmarks/autoencoders.py detection   # one digit against the others

MNIST is read by name: see `zoo.load_data`. Each part has three seeds; results go to
results/autoencoders_PART.json.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from typing import Any

import click
import keras
import numpy as np
from measure import report
from rich.progress import track
from scipy.linalg import subspace_angles
from scipy.ndimage import median_filter
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

import zoo
from zoo.codec.curve import mean_psnr

SEEDS = (0, 1, 2)

# Loss, activation, rate and tied weights were chosen on 5,000 images of the training part; the
# decay and the number of epochs were not compared.
HINTON: dict[str, Any] = dict(
    epochs=40,
    batch_size=128,
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=3e-2,
    learning_rate_schedule="cosine",
)
HINTON_NET: dict[str, Any] = dict(tied=True)
# Not searched, but for tied weights: 21.47 dB with, 21.40 without, on 5,000 training images.
DENOISING: dict[str, Any] = dict(HINTON, epochs=20)
NET: dict[str, Any] = dict(
    kind="denoising",
    noise_level=0.4,
    tied=True,
    hidden_units=(1000, 500),
    latent_dim=128,
    activation="gelu",
    data_range="binary",
)

# The kind is the better of two within the training rows: `--validate`.
DIGITS: dict[str, Any] = dict(kind="denoising")
DETECTION: dict[str, Any] = dict(kind="plain", latent_dim=16)
VALIDATE = click.option(
    "--validate", is_flag=True, help="Compare kinds, judged by a fifth of the training rows."
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
    return part.examples(np.arange(len(part)))


def squared_error(images: np.ndarray, rebuilt: np.ndarray) -> float:
    """Squared error of an image, summed over its pixels, on average."""
    return float(np.square(images - rebuilt).sum(axis=(1, 2, 3)).mean())


def of_pca(train: np.ndarray, test: np.ndarray, components: int) -> np.ndarray:
    pca = PCA(components, random_state=0).fit(train.reshape(len(train), -1))
    codes = pca.transform(test.reshape(len(test), -1))
    return pca.inverse_transform(codes).reshape(test.shape)


def of_regression(damaged: np.ndarray, clean: np.ndarray, noisy: np.ndarray) -> np.ndarray:
    """Apply the best linear denoiser of the training images."""
    fitted = LinearRegression().fit(damaged.reshape(len(clean), -1), clean.reshape(len(clean), -1))
    return fitted.predict(noisy.reshape(len(noisy), -1)).reshape(noisy.shape)


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
        run, seconds = fit("hinton_autoencoder", data, seed, HINTON_NET, HINTON)
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
            net=HINTON_NET,
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
        "noisy": mean_psnr(test, noisy),
        "median filter, 3x3": mean_psnr(test, median_filter(noisy, size=(1, 3, 3, 1))),
        "PCA of noisy images, 32 components": mean_psnr(test, of_pca(damaged, noisy, 32)),
        "linear regression to clean images": mean_psnr(test, of_regression(damaged, train, noisy)),
    }
    of_ours, minutes = [], []
    for seed in SEEDS[:1] if validate else SEEDS:
        run, seconds = fit("dense_autoencoder", data, seed, NET, DENOISING)
        of_ours.append(mean_psnr(test, run.model.predict(noisy, batch_size=1000, verbose=0)))
        minutes.append(round(seconds / 60, 1))
        print(seed, found, of_ours, minutes)
    if validate:
        return
    rows = [{"cure": name, "PSNR": round(value, 2)} for name, value in found.items()]
    rows.append({"cure": "dense_autoencoder", "PSNR": round(statistics.mean(of_ours), 2)})
    report(
        "autoencoders_denoising",
        rows,
        of_seeds=[round(value, 2) for value in of_ours],
        minutes=minutes,
        net=NET,
        recipe=DENOISING,
        parameters=run.model.count_params(),
    )


@main.command()
def linear() -> None:
    """Linear autoencoders on data with a clear spectrum: PCA's subspace, and PCA's density."""
    rows = []
    for seed in SEEDS:
        x, fresh = spectrum(seed, 2000), spectrum(seed, 4000)[2000:]
        pca = PCA(4).fit(x)
        ours = zoo.AutoencoderTransformer(4, hidden_units=(), linear=True, random_state=seed).fit(x)
        of_pca = np.square(x - pca.inverse_transform(pca.transform(x))).mean()
        steps = ours.inverse_transform(np.eye(4)) - ours.inverse_transform(np.zeros((1, 4)))
        angles = subspace_angles(steps.T, pca.components_.T)
        bound = evidence_bound(x, fresh, pca.noise_variance_, seed)
        rows.append(
            {
                "seed": seed,
                "MSE over PCA's": round(-ours.score(x) / float(of_pca), 5),
                "largest angle, degrees": round(float(np.degrees(angles.max())), 3),
                "bound less PCA.score, nats": round(bound[0] - float(pca.score(x)), 4),
                "on fresh rows": round(bound[1] - float(pca.score(fresh)), 4),
            }
        )
    report("autoencoders_linear", rows)


def spectrum(seed: int, count: int) -> np.ndarray:
    """Rows of 32 values: standard deviations of 4 to 2.5 along four directions, else 0.5."""
    generator = np.random.default_rng(seed)
    directions = np.linalg.qr(generator.normal(size=(32, 32)))[0]
    deviations = np.array([4, 3.5, 3, 2.5] + [0.5] * 28)
    return ((generator.normal(size=(count, 32)) * deviations) @ directions).astype("float32")


def evidence_bound(x: np.ndarray, fresh: np.ndarray, variance: float, seed: int) -> list[float]:
    """Fit a linear variational autoencoder; returns its bound on each row's log-likelihood."""
    keras.utils.set_random_seed(seed)
    model = zoo.dense_autoencoder(
        (32,),
        4,
        hidden_units=(),
        linear=True,
        kind="variational",
        beta=2 * variance,
        data_range="real",
    )
    rate = keras.optimizers.schedules.CosineDecay(3e-2, 400 * 32)
    model.compile(keras.optimizers.Adam(rate), "mse")
    model.fit(x, x, batch_size=64, epochs=400, verbose=0)
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    moments = keras.Model(
        encoder.input, [encoder.get_layer(name).output for name in ("code", "log_variance")]
    )
    kernel = decoder.get_layer("output").kernel.numpy()  # (codes, values)
    bounds = []
    for rows in (x, fresh):
        mean, log_variance = moments.predict(rows, verbose=0)
        rebuilt = decoder.predict(mean, verbose=0)
        # The expected error of a drawn code: that of the mean, and the draw's own.
        error = np.square(rows - rebuilt).sum(axis=1)
        error += np.exp(log_variance) @ np.square(kernel).sum(axis=1)
        kl = (np.square(mean) + np.exp(log_variance) - 1 - log_variance).sum(axis=1) / 2
        density = -16 * np.log(2 * np.pi * variance) - error / (2 * variance)
        bounds.append(float(np.mean(density - kl)))
    return bounds


def split_digits(seed: int, validate: bool) -> Any:
    """Give training rows, rows to judge by, and the labels of both."""
    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x / 16, y, test_size=0.2, random_state=seed, stratify=y)
    if validate:
        x, y = parts[0], parts[2]
        parts = train_test_split(x, y, test_size=0.2, random_state=seed, stratify=y)
    return parts


@main.command()
@VALIDATE
def digits(validate: bool) -> None:
    """Test error of scikit-learn's digits from 2, 4 and 8 values, over that of PCA."""
    rows = []
    kinds = ("plain", "denoising") if validate else (DIGITS["kind"],)
    recipes = [dict(DIGITS, kind=kind) for kind in kinds]
    for recipe, latent_dim in itertools.product(recipes, (2, 4, 8)):
        ratios = []
        for seed in SEEDS:
            train, test, _, _ = split_digits(seed, validate)
            pca = PCA(latent_dim).fit(train)
            of_pca = np.square(test - pca.inverse_transform(pca.transform(test))).mean()
            ours = zoo.AutoencoderTransformer(latent_dim, random_state=seed, **recipe).fit(train)
            ratios.append(round(float(-ours.score(test) / of_pca), 3))
        mean = round(float(statistics.mean(ratios)), 3)
        rows.append({**recipe, "latent_dim": latent_dim, "mean": mean, "each": ratios})
        print(rows[-1])
    if not validate:
        report("autoencoders_digits", rows, recipe=DIGITS)


@main.command()
@VALIDATE
def detection(validate: bool) -> None:
    """One digit against the others: area under the curve, and the threshold's false alarms."""
    kinds = ("plain", "denoising") if validate else (DETECTION["kind"],)
    recipes = [dict(DETECTION, kind=kind) for kind in kinds]
    for recipe in recipes:
        rows = [detect(digit, recipe, validate) for digit in track(range(10), "digits")]
        over_digits = {
            name: {
                "mean": round(statistics.mean(row[name] for row in rows), 4),
                "least": min(row[name] for row in rows),
            }
            for name in ("ours", "PCA", "norm", "alarms")
        }
        over_digits["ours"]["least seed"] = min(row["least seed"] for row in rows)
        print(recipe, over_digits)
    if not validate:
        report("autoencoders_detection", rows, over_digits=over_digits, recipe=DETECTION)


def detect(digit: int, recipe: dict[str, Any], validate: bool) -> dict[str, float]:
    """Take one digit as normal, and tell it from the others; means over the seeds."""
    found: dict[str, list[float]] = {name: [] for name in ("ours", "PCA", "norm", "alarms")}
    for seed in SEEDS:
        train, test, labels, truth = split_digits(seed, validate)
        normal = train[labels == digit]
        detector = zoo.AutoencoderDetector(contamination=0.1, random_state=seed, **recipe)
        detector.fit(normal)
        pca = PCA(16).fit(normal)
        scores = {
            "ours": detector.score_samples(test),
            "PCA": -np.square(test - pca.inverse_transform(pca.transform(test))).mean(axis=1),
            "norm": -np.square(test - normal.mean(axis=0)).mean(axis=1),
        }
        for name, values in scores.items():
            found[name].append(roc_auc_score(truth == digit, values))
        found["alarms"].append(float(np.mean(detector.predict(test[truth == digit]) == -1)))
    means = {name: round(statistics.mean(values), 4) for name, values in found.items()}
    return {"digit": digit, **means, "least seed": round(float(min(found["ours"])), 4)}


if __name__ == "__main__":
    main()
