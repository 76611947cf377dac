"""The precision that a machine computes fastest in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from zoo._lazy import keras
from zoo.arguments import one_of

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


def resolve_precision(precision: str) -> str:
    """Choose the Keras dtype policy for this machine."""
    one_of("precision", precision, PRECISIONS)
    if precision != "auto":
        return precision
    return "mixed_bfloat16" if _multiplies_bfloat16() else "float32"


@contextlib.contextmanager
def precision_scope(policy: str) -> Iterator[None]:
    """Build models in a precision, and put the global policy back afterwards."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _multiplies_bfloat16() -> bool:
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            details = tf.config.experimental.get_device_details(gpus[0])
            return details.get("compute_capability", (0, 0)) >= (8, 0)
        # Intel's without AMX are slower in bfloat16 (`results/step_time_without_amx.json`).
        cpu = _cpu_words()
        return "amx_bf16" in cpu or {"AuthenticAMD", "avx512_bf16"} <= cpu
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        return float(getattr(device, "compute_capability", 0)) >= 8
    import torch

    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)


def _cpu_words() -> set[str]:
    """Give the processor's maker and features, where the operating system tells."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return {
        word for line in lines if line.startswith(("vendor_id", "flags")) for word in line.split()
    }
