"""What autoencoders are for, on scikit-learn's digits or any other data set: with pictures.

    python examples/autoencoders.py reduce      # two values an image, beside principal components
    python examples/autoencoders.py detect      # one digit is normal; which images are not?
    python examples/autoencoders.py denoise     # remove Gaussian noise
    python examples/autoencoders.py compress    # bytes, beside JPEG and WebP

All write to out/autoencoders; `compress` needs `pip install keras-zoo[compression]`.
"""

from __future__ import annotations

from zoo.terminal import quiet_tensorflow, watching

quiet_tensorflow()  # before it is loaded by what follows

import shutil
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

import zoo
import zoo.metrics
import zoo.plots
import zoo.tasks
from zoo.codec import rate_distortion

OUT = Path("out/autoencoders")
console = Console()


@click.group()
def main() -> None:
    """Reduce, detect, denoise or compress images."""
    OUT.mkdir(parents=True, exist_ok=True)


def images_of(part: Any) -> np.ndarray:
    """All images of a part."""
    return part.examples(np.arange(len(part)))


def rows_of(part: Any) -> np.ndarray:
    """All images of a part, as rows of pixels."""
    return images_of(part).reshape(len(part), -1)


@main.command()
@click.option("--data", "source", default="digits", show_default=True)
def reduce(source: str) -> None:
    """Nonlinear principal components: two values an image."""
    data = zoo.load_data(source)
    train, test = rows_of(data.train), rows_of(data.test)
    pca = PCA(2).fit(train)
    ours = zoo.AutoencoderTransformer(2, kind="denoising", random_state=0).fit(train)
    of_pca = np.square(test - pca.inverse_transform(pca.transform(test))).mean()
    console.print(f"test MSE: autoencoder {-ours.score(test):.4f}, PCA {of_pca:.4f}")
    for name, codes in (("autoencoder", ours.transform(test)), ("pca", pca.transform(test))):
        path = OUT / f"codes_{name}.png"
        console.print(zoo.plots.latent_scatter(codes, data.test.labels, data.class_names, path))


@main.command()
@click.option("--data", "source", default="digits", show_default=True)
@click.option("--normal", default=0, show_default=True, help="The class that is normal.")
def detect(source: str, normal: int) -> None:
    """Find the images that are not of one class, having seen that class alone."""
    data = zoo.load_data(source)
    shape = data.input_shape
    detector = zoo.AutoencoderDetector(16, contamination=0.05, random_state=0)
    detector.fit(rows_of(data.train)[data.train.labels == normal])
    test = rows_of(data.test)
    scores, truth = detector.score_samples(test), data.test.labels == normal
    console.print(f"area under the curve: {roc_auc_score(truth, scores):.4f}")
    alarms = np.sum(detector.predict(test[truth]) == -1)
    console.print(f"false alarms: {alarms} of {np.sum(truth)}, asked 5 %")
    console.print(f"caught: {np.mean(detector.predict(test[~truth]) == -1):.1%}")
    order = np.argsort(scores)
    where = detector.reconstruction_error(test, per_feature=True).reshape(-1, *shape)
    rows = {}
    for name, chosen in (("oddest", order[:10]), ("most normal", order[-10:])):
        rows[name] = test[chosen].reshape(-1, *shape)
        rows[f"{name}: where"] = np.sqrt(where[chosen])
    console.print(zoo.plots.image_rows(rows, OUT / "anomalies.png"))
    zoo.export_saved_model(detector.model_, _fresh("detector"))
    console.print(f"served with its threshold: {OUT / 'detector'}")


@main.command()
@click.option("--data", "source", default="digits", show_default=True)
@click.option("--noise-level", default=0.3, show_default=True)
@click.option("--epochs", default=60, show_default=True)
def denoise(source: str, noise_level: float, epochs: int) -> None:
    """Train on damaged images, judge by other damaged ones."""
    data = zoo.load_data(source)
    run = zoo.train(
        "dense_autoencoder",
        data,
        arguments={"kind": "denoising", "noise_level": noise_level, "data_range": "binary"},
        epochs=epochs,
        learning_rate=3e-3,
        learning_rate_schedule="cosine",
        directory=_fresh("denoising"),
        **watching(),
    )
    clean = images_of(data.test)
    noise = np.random.default_rng(0).normal(0, noise_level, clean.shape)
    noisy = np.clip(clean + noise, 0, 1).astype("float32")
    rebuilt = run.model.predict(noisy, verbose=0)
    for name, images in (("noisy", noisy), ("rebuilt", rebuilt)):
        metric = zoo.metrics.PSNR()
        metric.update_state(clean, images)
        console.print(f"{name}: {float(metric.result()):.2f} dB")
    for path in zoo.tasks.get("reconstruction").draw(run.model, data, OUT):
        console.print(path)


@main.command()
@click.option("--data", "source", default="digits", show_default=True)
@click.option("--epochs", default=60, show_default=True)
def compress(source: str, epochs: int) -> None:
    """Train three codecs, and compare them with JPEG and WebP."""
    data = zoo.load_data(source)
    images = images_of(data.test)
    codecs, rows = [], {"image": images[:10]}
    for weight in (0.005, 0.02, 0.08):
        run = zoo.train(
            "dense_autoencoder",
            data,
            arguments={"kind": "compression", "penalty_weight": weight, "activation": "gelu"},
            epochs=epochs,
            learning_rate_schedule="cosine",
            directory=_fresh(f"codec_{weight}"),
            **watching(),
        )
        codec = zoo.ImageCodec(run.model)
        codec.save(OUT / f"codec_{weight}.keras")
        codecs.append(codec)
        stream = codec.compress(images)
        rebuilt = codec.decompress(stream)
        console.print(
            f"{weight} a bit: {len(images)} images in {len(stream)} bytes; the decoder's weights "
            f"take {4 * run.model.get_layer('decoder').count_params():,} more"
        )
        rows[f"{len(stream) / len(images):.1f} bytes each"] = rebuilt[:10]
    console.print(zoo.plots.image_rows(rows, OUT / "compressed.png"))
    curves = rate_distortion(images, codecs)
    console.print(zoo.plots.rate_distortion(curves, OUT / "rate_distortion.png"))


def _fresh(name: str) -> Path:
    shutil.rmtree(OUT / name, ignore_errors=True)
    return OUT / name


if __name__ == "__main__":
    main()
