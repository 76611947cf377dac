"""Run by path in a fresh process: reload a SavedModel and compare it with recorded outputs.

    python -P check.py DIRECTORY < samples.npz > report.json

The archive holds arrays named `SIGNATURE/SAMPLE/inputs/NAME` and `SIGNATURE/SAMPLE/outputs/NAME`.
The report holds the signatures found, and the largest difference of every output.

This is a client like any other: it imports TensorFlow and NumPy, neither Keras nor this package,
and it runs on the CPU, because the process that asks may hold all memory of the GPU.
"""

import io
import json
import os
import sys
from collections import defaultdict
from typing import Any

import numpy as np


def main() -> None:
    """Check the SavedModel named on the command line, and print the report."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    # Any import of Keras fails from here on. TensorFlow does without, and starts in half the time.
    sys.modules["keras"] = None  # type: ignore[assignment]
    import tensorflow as tf

    samples = read_samples(sys.stdin.buffer.read())
    loaded = tf.saved_model.load(sys.argv[1])  # the functions die with it: keep the reference
    signatures = {name: describe(function) for name, function in loaded.signatures.items()}
    differences = {
        f"{signature}/{sample}/{output}": difference
        for (signature, sample), arrays in samples.items()
        if signature in signatures
        and arrays["inputs"].keys() == signatures[signature]["inputs"].keys()
        for output, difference in compare(loaded.signatures[signature], arrays).items()
    }
    json.dump({"signatures": signatures, "differences": differences}, sys.stdout)


def read_samples(archive: bytes) -> dict[tuple[str, str], dict[str, dict[str, np.ndarray]]]:
    """Give {(signature, sample): {"inputs": {name: array}, "outputs": {name: array}}}."""
    samples: dict[tuple[str, str], dict[str, dict[str, np.ndarray]]] = defaultdict(
        lambda: {"inputs": {}, "outputs": {}}
    )
    with np.load(io.BytesIO(archive)) as arrays:
        for key, array in arrays.items():
            signature, sample, side, name = key.split("/", 3)
            samples[signature, sample][side][name] = array
    return dict(samples)


def describe(signature: Any) -> dict[str, dict[str, list[int | None]]]:
    """Give the names and shapes of a loaded signature's inputs and outputs."""
    _, inputs = signature.structured_input_signature
    sides = {"inputs": inputs, "outputs": signature.structured_outputs}
    return {
        side: {name: spec.shape.as_list() for name, spec in specs.items()}
        for side, specs in sides.items()
    }


def compare(signature: Any, arrays: dict[str, dict[str, np.ndarray]]) -> dict[str, float]:
    """Run a loaded signature, and give every output's difference from the recorded one."""
    import tensorflow as tf

    outputs = signature(**{name: tf.constant(each) for name, each in arrays["inputs"].items()})
    return {
        name: difference(outputs[name].numpy(), expected)
        for name, expected in arrays["outputs"].items()
        if name in outputs
    }


def difference(received: np.ndarray, expected: np.ndarray) -> float:
    """Give the largest difference, as a share of the largest expected value if that exceeds 1.

    It is infinite where the shapes differ, and NaN where a value is.

    Example:
        >>> difference(np.array([0.5, 20.0]), np.array([0.25, 25.0]))
        0.2
    """
    if received.shape != expected.shape:
        return float("inf")
    received, expected = received.astype("float64"), expected.astype("float64")
    scale = np.abs(expected).max(initial=1.0)
    return float(np.abs(received - expected).max(initial=0.0) / scale)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # taking TensorFlow down in order costs half a second
