"""SavedModels with named inputs and outputs, each compared with its model before it appears."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.export.entry_points import EntryPoint, all_layers, all_weights, make_entry_points
from zoo.files import new_directory

# By compute dtype. Of half precision, about four times the relative error of one rounding: how
# often a value is rounded on its way depends on which operations a graph runs as one.
TOLERANCES = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}
SAMPLE_BATCHES = (1, 3)
SAMPLE_LENGTH = 32  # of a dimension that the model leaves open, other than the batch

_LOOKUP_LAYERS = (
    keras.layers.IntegerLookup,
    keras.layers.StringLookup,
    keras.layers.TextVectorization,
)
_CHECK_PROGRAM = Path(__file__).with_name("check.py")


class ExportError(RuntimeError):
    """An export that does not give its model's numbers, or cannot be served."""


@dataclass(frozen=True)
class ExportResult:
    """What an export holds, as a fresh process found it.

    Attributes:
        path: The SavedModel directory.
        signatures: By signature name, `{"inputs": {name: shape}, "outputs": {name: shape}}`.
        max_difference: The largest difference from the model's outputs, as a share of the largest
            output where that exceeds 1.
        size_bytes: Bytes of the whole directory.
        weight_bytes: Bytes of the weights in it.
        parameters: Number of parameters, each counted once however many signatures use it.
        seconds: Time of the export, the check included.
    """

    path: Path
    signatures: dict[str, dict[str, dict[str, tuple[int | None, ...]]]]
    max_difference: float
    size_bytes: int
    weight_bytes: int
    parameters: int
    seconds: float


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    signatures: Mapping[str, keras.Model] | None = None,
    tolerance: float | None = None,
) -> ExportResult:
    """Write a model as a SavedModel that any client can serve, once it proves itself.

    Clients call it by names: the `serving_default` signature takes the model's inputs by their
    names ("image") and gives its outputs by the names of the layers that make them
    ("probabilities"), or by their keys where the model returns a dict. The batch size is free,
    layers run in inference mode, and half-precision inputs and outputs become float32.

    A fresh process without Keras reloads the SavedModel and runs every signature on random inputs
    in [0, 1], in batches of 1 and 3, on the CPU. Only if its outputs are finite and equal to those
    of `model` does the directory appear at `path`, complete. Otherwise nothing is left.

    Args:
        model: A built Functional or Sequential model. It is not changed.
        path: Directory to write; nothing may exist there.
        signatures: More entry points, by name: models that share layers with `model`, such as
            its encoder. Weights that several use are stored once.
        tolerance: Largest difference allowed between the outputs of the export and of `model`, as
            a share of the largest output where that exceeds 1. By default 1e-5, or 2e-3 where
            layers compute in float16 and 2e-2 where they do in bfloat16.

    Returns:
        Names, shapes, sizes, and the difference found.

    Raises:
        TypeError: `model`, or one in `signatures`, is no Keras model.
        ValueError: A model is not built, has no symbolic inputs, or has weights that are NaN or
            infinite; or a name cannot be served.
        FileExistsError: Something exists at `path`.
        OSError: `path` cannot be written.
        ExportError: The outputs are not finite, or those of the export differ.
        RuntimeError: Keras does not run on TensorFlow.

    Example:
        >>> import tempfile, keras, zoo
        >>> image = keras.Input((8, 8, 1), name="image")
        >>> features = keras.layers.Flatten()(image)
        >>> outputs = keras.layers.Dense(10, "softmax", name="probabilities")(features)
        >>> model = keras.Model(image, outputs)
        >>> result = zoo.export_saved_model(model, tempfile.mkdtemp() + "/digits")
        >>> result.signatures["serving_default"]
        {'inputs': {'image': (None, 8, 8, 1)}, 'outputs': {'probabilities': (None, 10)}}
        >>> result.max_difference <= 1e-5
        True
    """
    started = time.perf_counter()
    _require_tensorflow()
    entry_points = make_entry_points(model, signatures or {})
    if tolerance is None:
        tolerance = _default_tolerance(entry_points.values())

    with new_directory(path) as draft:
        samples = _samples(entry_points)
        _write(entry_points, draft)
        report = _check_in_fresh_process(draft, samples)
        _require_same(report, entry_points, tolerance)
        sizes = {file: file.stat().st_size for file in draft.rglob("*") if file.is_file()}

    return ExportResult(
        path=Path(path),
        signatures=_with_tuples(report["signatures"]),
        max_difference=max(report["differences"].values()),
        size_bytes=sum(sizes.values()),
        weight_bytes=sum(size for file, size in sizes.items() if ".data-" in file.name),
        parameters=sum(int(np.prod(weight.shape)) for weight in all_weights(entry_points.values())),
        seconds=time.perf_counter() - started,
    )


def _require_tensorflow() -> None:
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "SavedModels are exported from Keras's TensorFlow backend, and this process runs on "
            f"{keras.backend.backend()!r}. Save the model with model.save('model.keras'), then "
            "load and export it in a process started with KERAS_BACKEND=tensorflow."
        )


def _default_tolerance(entry_points: Iterable[EntryPoint]) -> float:
    lowest = TOLERANCES["float32"]
    return max(TOLERANCES.get(layer.compute_dtype, lowest) for layer in all_layers(entry_points))


def _samples(entry_points: Mapping[str, EntryPoint]) -> dict[str, np.ndarray]:
    """Draw inputs, and compute the model's outputs for them, in the layout of check.py."""
    rng = np.random.default_rng(0)
    samples = {}
    for signature, entry_point in entry_points.items():
        for batch in SAMPLE_BATCHES:
            inputs = {spec.name: _draw(spec, batch, rng) for spec in entry_point.inputs}
            with tf.device("CPU:0"):  # where the check runs: other devices round differently
                outputs = entry_point.infer(*map(tf.constant, inputs.values()))
            for name, array in inputs.items():
                samples[f"{signature}/{batch}/inputs/{name}"] = array
            for name, output in outputs.items():
                samples[f"{signature}/{batch}/outputs/{name}"] = output.numpy()
    broken = [key for key, array in samples.items() if not _all_finite(array)]
    if broken:
        raise ExportError(
            f"the model's own outputs are NaN or infinite for inputs in [0, 1]: {broken}"
        )
    return samples


def _all_finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _draw(spec: tf.TensorSpec, batch: int, rng: np.random.Generator) -> np.ndarray:
    shape = (batch, *(length or SAMPLE_LENGTH for length in spec.shape[1:]))
    if spec.dtype.is_floating:
        return rng.random(shape).astype(spec.dtype.as_numpy_dtype)
    zeros_and_ones = rng.integers(0, 2, shape)  # legal as indices, tokens and flags
    return zeros_and_ones.astype(str if spec.dtype == tf.string else spec.dtype.as_numpy_dtype)


def _write(entry_points: Mapping[str, EntryPoint], directory: Path) -> None:
    archive = keras.export.ExportArchive()
    for name, entry_point in entry_points.items():
        archive.add_endpoint(name, entry_point.infer, input_signature=list(entry_point.inputs))
    # Tracking a whole model would store its weights a second time; only tables need tracking.
    for layer in all_layers(entry_points.values()):
        if isinstance(layer, _LOOKUP_LAYERS) and layer.built:  # unbuilt ones lie inside others
            archive.track(layer)
    with _silent_tensorflow():
        archive.write_out(str(directory), verbose=False)


@contextlib.contextmanager
def _silent_tensorflow() -> Iterator[None]:
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _check_in_fresh_process(directory: Path, samples: dict[str, np.ndarray]) -> dict[str, Any]:
    archive = io.BytesIO()
    np.savez(archive, **samples)  # type: ignore[arg-type]
    # -P: the modules beside the program must not shadow installed ones.
    command = [sys.executable, "-P", str(_CHECK_PROGRAM), str(directory)]
    finished = subprocess.run(command, input=archive.getvalue(), capture_output=True)
    if finished.returncode != 0:
        last_lines = finished.stderr.decode(errors="replace").strip().splitlines()[-5:]
        raise ExportError(
            "the export cannot be reloaded and run in a fresh process "
            f"(status {finished.returncode}), and was deleted:\n" + "\n".join(last_lines)
        )
    return json.loads(finished.stdout)


def _require_same(
    report: dict[str, Any], entry_points: Mapping[str, EntryPoint], tolerance: float
) -> None:
    problems = []
    for name, entry_point in entry_points.items():
        expected = {
            "inputs": sorted(spec.name for spec in entry_point.inputs),
            "outputs": sorted(entry_point.output_names),
        }
        found = {side: sorted(specs) for side, specs in report["signatures"].get(name, {}).items()}
        if found != expected:
            problems.append(f"signature {name!r} has {found or 'gone'}, expected {expected}")
    for sample, difference in report["differences"].items():
        if not difference <= tolerance:  # also true of NaN
            signature, batch, output = sample.split("/", 2)
            problems.append(
                f"signature {signature!r}, batch of {batch}, output {output!r}: "
                f"differs by {difference:.3g}, allowed {tolerance:.3g}"
            )
    if problems:
        raise ExportError(
            "the export does not give the model's numbers, and was deleted: " + "; ".join(problems)
        )


def _with_tuples(structure: Any) -> Any:
    if isinstance(structure, dict):
        return {key: _with_tuples(value) for key, value in structure.items()}
    return tuple(structure)
