"""Examples back from a narrow code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from zoo.arguments import number
from zoo.data import Dataset, Part, feed, mapped
from zoo.data.preparation import PREPARATION, preparation_from_config
from zoo.metrics import PSNR, SSIM, PricedPSNR
from zoo.tasks.base import BATCH, Task, check_input, outputs_of

SHOWN = 10  # images in a picture


@dataclass(frozen=True)
class ReconstructionTask(Task):
    """Rebuild each example from its code.

    Trains on `(examples, examples)`, as the model's own preparation leaves them, with the mean
    squared error, or, where the model's output are `probabilities`, with binary cross-entropy;
    what the model's layers charge for comes on top.

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
    direction: ClassVar[str] = "max"
    latent_price: float = 0.0

    def __post_init__(self) -> None:
        price = number("latent_price", self.latent_price, or_zero=True)
        object.__setattr__(self, "latent_price", price)

    @property
    def objective(self) -> str:  # type: ignore[override]
        """The validation part's quality, or its quality less the price of the code."""
        return "val_priced_psnr" if self.latent_price else "val_psnr"

    def model_arguments(self, data: Dataset) -> dict[str, Any]:
        """Give the shape of the examples, and their range where they are no images."""
        real = {} if data.preparation.kind == "images" else {"data_range": "real"}
        return {"input_shape": data.input_shape, **real}

    def check(self, model: keras.Model, data: Dataset) -> None:
        """Check the model's shapes, its code's price, and the range of some of the pixels."""
        if self.latent_price and not _has_halves(model):
            raise ValueError(
                f"`latent_price` is for models with layers `encoder` and `decoder`, such as "
                f"zoo.conv_autoencoder; {model.name!r} has none."
            )
        check_input(model, data)
        if tuple(model.input_shape) != tuple(model.output_shape):
            raise ValueError(
                f"Model {model.name!r} rebuilds examples of shape {model.input_shape[1:]} as "
                f"{model.output_shape[1:]}: build it with one `input_shape`."
            )
        if data.preparation.kind != "images":
            return
        pixels = data.train.examples(np.arange(min(256, len(data.train))))
        if not (pixels.min() >= 0 and pixels.max() <= 1):  # also of NaN
            raise ValueError(
                f"Images must have values in [0, 1]; those of {data.name!r} reach from "
                f"{pixels.min()} to {pixels.max()}: divide them by their largest value."
            )

    def batches(self, model: keras.Model, part: Part, batch_size: int, **options: Any) -> Any:
        """Make batches of examples, as input and as what is to be rebuilt of them."""
        batches = part.batches(batch_size, **options)
        return feed(mapped(batches, lambda examples, _: (examples, _prepared(model, examples))))

    def compile(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Compile with the squared error or the cross-entropy, and MSE, MAE and PSNR."""
        loss = "binary_crossentropy" if model.output_names == ["probabilities"] else "mse"
        metrics = ["mse", "mae", PSNR()]
        if self.latent_price:
            latent_dim = model.get_layer("encoder").output_shape[-1]
            metrics.append(PricedPSNR(self.latent_price * latent_dim))
        model.compile(optimizer, loss, metrics=metrics)

    def evaluate(
        self, model: keras.Model, part: Part, *, batch_size: int = BATCH
    ) -> dict[str, float]:
        """Give the loss, the metrics, and of images SSIM, which is too slow for each step."""
        results = super().evaluate(model, part, batch_size=batch_size)
        if len(part.input_shape) != 3:
            return results
        ssim = SSIM()
        for images, targets in self.batches(model, part, batch_size):
            ssim.update_state(targets, model.predict_on_batch(images))
        return {**results, "ssim": float(ssim.result())}

    def predict(self, model: keras.Model, x: np.ndarray, data: Mapping[str, Any]) -> dict[str, Any]:
        """Give each example's reconstruction, in the units of the data, and its squared `error`."""
        rebuilt = outputs_of(model, x)
        errors = np.square(_prepared(model, x) - rebuilt).reshape(len(x), -1).mean(axis=1)
        preparation = preparation_from_config(data["preparation"])
        return {"error": errors, "reconstruction": preparation.restored(rebuilt)}

    def signatures(self, model: keras.Model) -> dict[str, keras.Model]:
        """Serve the whole model, its encoder as `encode` and its decoder as `decode`."""
        if not _has_halves(model):
            return {"serving_default": model}
        decoder = model.get_layer("decoder")
        return {"serving_default": model, "encode": _encoder(model), "decode": decoder}

    def draw(self, model: keras.Model, data: Dataset, directory: Path) -> list[Path]:
        """Draw test images and what is left of them, steps between two images, and the codes."""
        from zoo import plots  # matplotlib is loaded only to draw

        images = data.test.examples(np.arange(min(SHOWN, len(data.test))))
        rows = {"image": images}
        if not _has_halves(model):
            rows["rebuilt"] = model.predict(images, verbose=0)
            is_image = data.preparation.kind == "images"
            return [plots.image_rows(rows, directory / "reconstructions.png")] if is_image else []
        encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
        codes = _encoder(model).predict(self.batches(model, data.test, BATCH), verbose=0)
        labels, names = data.test.labels, data.class_names
        if data.is_regression:  # which give no colours
            labels, names = np.zeros(len(codes), np.int64), ("examples",)
        scatter = plots.latent_scatter(codes, labels, names, directory / "codes.png")
        if data.preparation.kind != "images":
            return [scatter]
        if any(layer.name == "noise" for layer in encoder.layers):
            noise = encoder.get_layer("noise")
            rows["damaged"] = keras.ops.convert_to_numpy(noise(images, training=True))
        rebuilt = model(list(rows.values())[-1], training=False)
        rows["rebuilt"] = keras.ops.convert_to_numpy(rebuilt)
        found = np.unique(labels)
        ends = {names[label]: int(np.argmax(labels == label)) for label in found}
        if len(found) == 1:
            ends = {f"image {index}": index for index in range(min(6, len(labels)))}
        shown = list(ends)
        steps = {
            f"{start} to {end}": interpolate(decoder, codes[ends[start]], codes[ends[end]])
            for start, end in list(zip(shown, shown[1:] + shown[:1], strict=True))[:5]
        }
        return [
            plots.image_rows(rows, directory / "reconstructions.png"),
            plots.image_rows(steps, directory / "interpolations.png"),
            scatter,
        ]


def _has_halves(model: keras.Model) -> bool:
    return {"encoder", "decoder"} <= {layer.name for layer in model.layers}


def _encoder(model: keras.Model) -> keras.Model:
    """Give what makes codes of examples, with the model's own preparation in front."""
    encoder = model.get_layer("encoder")
    if PREPARATION not in [layer.name for layer in model.layers]:
        return encoder
    prepared = model.get_layer(PREPARATION)(model.inputs[0])
    return keras.Model(model.inputs, encoder.call(prepared), name=encoder.name)


def _prepared(model: keras.Model, examples: np.ndarray) -> np.ndarray:
    """Give examples as the model's own preparation, if it has one, leaves them."""
    layer = next((layer for layer in model.layers if layer.name == PREPARATION), None)
    return examples if layer is None else keras.ops.convert_to_numpy(layer(examples))


def interpolate(
    decoder: keras.Model, start: np.ndarray, end: np.ndarray, steps: int = SHOWN
) -> np.ndarray:
    """Decode codes on the line between two."""
    parts = np.linspace(0, 1, steps, dtype="float32")[:, None]
    images = decoder((1 - parts) * start + parts * end, training=False)
    return keras.ops.convert_to_numpy(images)
