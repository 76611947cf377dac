"""SavedModels with named inputs and outputs, each compared with its model before it appears."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.arguments import one_of
from zoo.export.check import difference
from zoo.export.entry_points import EntryPoint, all_layers, all_weights, make_entry_points
from zoo.export.half_precision import (
    computing_in_float32,
    half_operations,
    lowest_precision,
    require_full_weights,
)
from zoo.export.metadata import check_metadata, write_metadata
from zoo.files import new_directory

PRECISIONS = ("float32", "as_trained")
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
        precision: What it computes in: "float32", "float16" or "bfloat16".
        max_difference: The largest difference from the outputs of the model in that precision, as
            a share of the largest output where that exceeds 1.
        trained_difference: The largest difference between the model's outputs in that precision
            and in the one it was trained in, likewise; 0.0 where they are the same precision.
        size_bytes: Bytes of the whole directory.
        weight_bytes: Bytes of the weights in it.
        parameters: Number of parameters, each counted once however many signatures use it.
        seconds: Time of the export, the check included.
    """

    path: Path
    signatures: dict[str, dict[str, dict[str, tuple[int | None, ...]]]]
    precision: str
    max_difference: float
    trained_difference: float
    size_bytes: int
    weight_bytes: int
    parameters: int
    seconds: float


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    signatures: Mapping[str, keras.Model] | None = None,
    precision: str = "float32",
    tolerance: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> ExportResult:
    """Write a model as a SavedModel that any client can serve, once it proves itself.

    The signature `serving_default` takes the model's inputs by their names ("image") and gives its
    outputs by the names of the layers that make them ("probabilities"), or by the keys of a dict.
    The batch size is free, layers run in inference mode, and inputs and outputs are never in half
    precision.

    A fresh process without Keras reloads it and runs every signature on random inputs in [0, 1], in
    batches of 1 and 3, on the CPU. Only if the outputs are finite and equal to those of `model` in
    the same precision does the directory appear at `path`; otherwise nothing is left.

    Args:
        model: A built Functional or Sequential model. It is not changed.
        path: Directory to write; nothing may exist there.
        signatures: More entry points, by name: models that share layers with `model`, such as
            its encoder. Weights that several use are stored once.
        precision: "float32", which every runtime and processor takes, also for layers trained in
            half precision; or "as_trained", where each layer computes as it was trained.
        tolerance: Largest difference allowed between the outputs of the export and of `model`, as
            a share of the largest output where that exceeds 1. By default 1e-5, or 2e-3 where
            the export computes in float16 and 2e-2 where it does in bfloat16.
        metadata: What a client should know, such as the names of the classes: a dict of what JSON
            can hold, written to `assets.extra/keras_zoo.json` with `signatures`, `precision` and
            `versions` added.

    Returns:
        Names, shapes, sizes, and the differences found.

    Raises:
        TypeError: `model`, or one in `signatures`, is no Keras model.
        ValueError: A model is not built, has no symbolic inputs, or has weights that are NaN,
            infinite or, for a float32 export, stored in half precision; a name cannot be served;
            or `precision` or `metadata` is illegal.
        FileExistsError: Something exists at `path`.
        OSError: `path` cannot be written.
        ExportError: The outputs are not finite, those of the export differ, or operations of a
            float32 export compute in half precision.
        RuntimeError: Keras does not run on TensorFlow.

    Example:
        >>> import tempfile, zoo
        >>> model = zoo.mlp((8, 8, 1), 10)
        >>> result = zoo.export_saved_model(model, tempfile.mkdtemp() + "/digits")
        >>> result.signatures["serving_default"]
        {'inputs': {'image': (None, 8, 8, 1)}, 'outputs': {'probabilities': (None, 10)}}
    """
    started = time.perf_counter()
    _require_tensorflow()
    one_of("precision", precision, PRECISIONS)
    check_metadata(metadata := {} if metadata is None else metadata)
    entry_points = make_entry_points(model, signatures or {})
    weights, layers = all_weights(entry_points.values()), all_layers(entry_points.values())
    trained = served = lowest_precision(layers)
    if precision == "float32":
        require_full_weights(weights)
        served = "float32"

    with new_directory(path) as draft:
        as_trained = _samples(entry_points) if served != trained else {}
        with computing_in_float32(layers if precision == "float32" else ()):
            samples = _samples(entry_points)
            _require_finite(samples)
            _write(entry_points, draft)
        if precision == "float32":
            _require_no_half(draft)
        report = _check_in_fresh_process(draft, samples)
        _require_same(report, entry_points, TOLERANCES[served] if tolerance is None else tolerance)
        write_metadata(draft, metadata, report["signatures"], served)
        sizes = {file: file.stat().st_size for file in draft.rglob("*") if file.is_file()}

    return ExportResult(
        path=Path(path),
        signatures=keras.tree.map_shape_structure(tuple, report["signatures"]),
        precision=served,
        max_difference=max(report["differences"].values()),
        trained_difference=_largest_difference(as_trained, samples),
        size_bytes=sum(sizes.values()),
        weight_bytes=sum(size for file, size in sizes.items() if ".data-" in file.name),
        parameters=sum(int(np.prod(weight.shape)) for weight in weights),
        seconds=time.perf_counter() - started,
    )


def _require_tensorflow() -> None:
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "SavedModels are exported from Keras's TensorFlow backend, and this process runs on "
            f"{keras.backend.backend()!r}. Save the model with model.save('model.keras'), then "
            "load and export it in a process started with KERAS_BACKEND=tensorflow."
        )


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
    return samples


def _require_finite(samples: dict[str, np.ndarray]) -> None:
    floats = {key: array for key, array in samples.items() if array.dtype.kind == "f"}
    if broken := [key for key, array in floats.items() if not np.isfinite(array).all()]:
        raise ExportError(f"the model's outputs are NaN or infinite for inputs in [0, 1]: {broken}")


def _largest_difference(received: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    outputs = [key for key in received if key.split("/")[2] == "outputs"]
    # max() would overlook NaN, which comes where float16 overflows.
    return float(np.max([difference(received[key], expected[key]) for key in outputs], initial=0))


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
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        archive.write_out(str(directory), verbose=False)
    finally:
        logger.setLevel(level)


def _require_no_half(directory: Path) -> None:
    if names := half_operations(directory):
        raise ExportError(
            f"{len(names)} operations compute in half precision whatever their layers are told: "
            f"{', '.join(names[:5])}. Take the casts out of the model, or export it with "
            "precision='as_trained'."
        )


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
    for sample, differs_by in report["differences"].items():
        if not differs_by <= tolerance:  # also true of NaN
            signature, batch, output = sample.split("/", 2)
            problems.append(
                f"signature {signature!r}, batch of {batch}, output {output!r}: "
                f"differs by {differs_by:.3g}, allowed {tolerance:.3g}"
            )
    if problems:
        raise ExportError(
            "the export does not give the model's numbers, and was deleted: " + "; ".join(problems)
        )
