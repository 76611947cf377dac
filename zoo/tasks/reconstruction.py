"""Images back from a narrow code."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from zoo import plots
from zoo.arguments import number
from zoo.data import Dataset, Part, feed, mapped
from zoo.metrics import PSNR, SSIM, PricedPSNR
from zoo.tasks.base import Task

SHOWN = 10  # images in a picture


class ReconstructionTask(Task):
    """Rebuild each image from its code.

    Trains on `(images, images)` with the mean squared error, or, where the model's output are
    `probabilities`, with binary cross-entropy; what the model's layers charge for comes on top.

    A longer code never rebuilds worse, so a search of `latent_dim` by quality alone ends at the
    longest code. With a price, a search improves `priced_psnr`: the quality in decibels, less the
    price for each value of the code.

    Args:
        latent_price: Decibels that one more value of the code must gain, at least 0.

    Raises:
        ValueError: If the price is no number of at least 0.

    Example:
        >>> ReconstructionTask().objective, ReconstructionTask(latent_price=0.1).objective
        ('val_psnr', 'val_priced_psnr')
    """

    name: ClassVar[str] = "reconstruction"
    direction = "max"

    def __init__(self, latent_price: float = 0.0) -> None:
        self.latent_price = number("latent_price", latent_price, or_zero=True)

    @property
    def objective(self) -> str:  # type: ignore[override]
        """The validation part's quality, or its quality less the price of the code."""
        return "val_priced_psnr" if self.latent_price else "val_psnr"

    def model_arguments(self, data: Dataset) -> dict[str, Any]:
        """Give the shape of the images."""
        return {"input_shape": data.input_shape}

    def check(self, model: keras.Model, data: Dataset) -> None:
        """Check the model's two halves, its shapes, and the range of some of the pixels."""
        names = [layer.name for layer in model.layers]
        if not {"encoder", "decoder"} <= set(names):
            raise ValueError(
                f"Model {model.name!r} has no layers `encoder` and `decoder`, but {names}: build "
                "an autoencoder, such as zoo.conv_autoencoder."
            )
        shape = (None, *data.input_shape)
        if not tuple(model.input_shape) == tuple(model.output_shape) == shape:
            raise ValueError(
                f"Model {model.name!r} rebuilds images of shape {model.input_shape[1:]} as "
                f"{model.output_shape[1:]}, but data {data.name!r} has {data.input_shape}: build "
                "it with that `input_shape`."
            )
        pixels = data.train.examples(np.arange(min(256, len(data.train))))
        if not (pixels.min() >= 0 and pixels.max() <= 1):  # also of NaN
            raise ValueError(
                f"Images must have values in [0, 1]; those of {data.name!r} reach from "
                f"{pixels.min()} to {pixels.max()}: divide them by their largest value."
            )

    def batches(self, model: keras.Model, part: Part, batch_size: int, **options: Any) -> Any:
        """Make batches of images, as input and as target."""
        return feed(mapped(part.batches(batch_size, **options), lambda images, _: (images, images)))

    def compile(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Compile with the squared error or the cross-entropy, and MSE, MAE and PSNR."""
        loss = "binary_crossentropy" if model.output_names == ["probabilities"] else "mse"
        metrics = ["mse", "mae", PSNR()]
        if self.latent_price:
            latent_dim = model.get_layer("encoder").output_shape[-1]
            metrics.append(PricedPSNR(self.latent_price * latent_dim))
        model.compile(optimizer, loss, metrics=metrics)

    def evaluate(
        self, model: keras.Model, part: Part, *, batch_size: int = 256
    ) -> dict[str, float]:
        """Give the loss, the metrics, and SSIM, which is too slow for each step of a training."""
        results = super().evaluate(model, part, batch_size=batch_size)
        ssim = SSIM()
        for images, targets in self.batches(model, part, batch_size):
            ssim.update_state(targets, model.predict_on_batch(images))
        return {**results, "ssim": float(ssim.result())}

    def signatures(self, model: keras.Model) -> dict[str, keras.Model]:
        """Serve the whole model, its encoder as `encode` and its decoder as `decode`."""
        return {
            "serving_default": model,
            "encode": model.get_layer("encoder"),
            "decode": model.get_layer("decoder"),
        }

    def draw(self, model: keras.Model, data: Dataset, directory: Path) -> list[Path]:
        """Draw test images and what is left of them, steps between two images, and the codes."""
        encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
        images = data.test.examples(np.arange(min(SHOWN, len(data.test))))
        rows = {"image": images}
        if any(layer.name == "noise" for layer in encoder.layers):
            noise = encoder.get_layer("noise")
            rows["damaged"] = keras.ops.convert_to_numpy(noise(images, training=True))
        rebuilt = model(list(rows.values())[-1], training=False)
        rows["rebuilt"] = keras.ops.convert_to_numpy(rebuilt)
        labels = data.test.labels
        codes = encoder.predict(self.batches(model, data.test, 256), verbose=0)
        found = np.unique(labels)
        ends = {data.class_names[label]: int(np.argmax(labels == label)) for label in found}
        if len(found) == 1:
            ends = {f"image {index}": index for index in range(min(6, len(labels)))}
        names = list(ends)
        pairs = list(zip(names, names[1:] + names[:1], strict=True))[:5]
        return [
            plots.image_rows(rows, directory / "reconstructions.png"),
            plots.image_rows(
                {
                    f"{start} to {end}": interpolate(decoder, codes[ends[start]], codes[ends[end]])
                    for start, end in pairs
                },
                directory / "interpolations.png",
            ),
            plots.latent_scatter(codes, labels, data.class_names, directory / "codes.png"),
        ]


def interpolate(
    decoder: keras.Model, start: np.ndarray, end: np.ndarray, steps: int = SHOWN
) -> np.ndarray:
    """Decode codes on the line between two.

    Args:
        decoder: From codes to images.
        start: A code, `(latent_dim,)`.
        end: Another.
        steps: Number of images, both ends included.

    Returns:
        The images, `(steps, height, width, channels)`.

    Example:
        >>> import zoo
        >>> model = zoo.create("dense_autoencoder_tiny", input_shape=(8, 8, 1))
        >>> interpolate(model.get_layer("decoder"), np.zeros(4), np.ones(4)).shape
        (10, 8, 8, 1)
    """
    parts = np.linspace(0, 1, steps, dtype="float32")[:, None]
    images = decoder((1 - parts) * start + parts * end, training=False)
    return keras.ops.convert_to_numpy(images)
