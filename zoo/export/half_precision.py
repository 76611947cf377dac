"""Models that compute in half precision, and how an export of them computes in float32."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

HALF_DTYPES = ("float16", "bfloat16")

_HALF_POLICY = re.compile("(mixed_)?b?float16$")  # the end also of "int8_from_mixed_bfloat16"
_HALF_TYPES = {types_pb2.DT_HALF, types_pb2.DT_BFLOAT16}


def lowest_precision(layers: Iterable[keras.Layer]) -> str:
    """Give the dtype that decides how exact a model is: a half one where a layer computes in it."""
    found = {
        dtype
        for layer in layers
        for dtype in (layer.compute_dtype, *(vars(each).get("dtype") for each in _steps(layer)))
    }
    return next((dtype for dtype in reversed(HALF_DTYPES) if dtype in found), "float32")


def require_full_weights(weights: Iterable[keras.Variable]) -> None:
    """Raise a ValueError for weights that are kept in half precision, not only computed in it."""
    if half := [weight.path for weight in weights if weight.dtype in HALF_DTYPES]:
        raise ValueError(
            f"{len(half)} weights are stored in half precision, such as {half[0]}, so a float32 "
            "export would not be one. Give precision='as_trained', or copy the weights into a "
            "model that was built under 'float32' or a 'mixed_' policy."
        )


@contextlib.contextmanager
def computing_in_float32(layers: Iterable[keras.Layer]) -> Iterator[None]:
    """Let layers of half precision compute in float32 meanwhile, with the weights they have."""
    with contextlib.ExitStack() as undo:

        def change(thing: Any, attribute: str, value: Any) -> None:
            undo.callback(setattr, thing, attribute, getattr(thing, attribute))
            setattr(thing, attribute, value)

        for layer in layers:
            for given in (layer, *_inputs(layer)):  # a model casts to the dtypes of its inputs
                if getattr(given, "_dtype", None) in HALF_DTYPES:
                    change(given, "_dtype", "float32")
            for operation in _steps(layer):
                if vars(operation).get("dtype") in HALF_DTYPES:
                    change(operation, "dtype", "float32")
            if layer.compute_dtype in HALF_DTYPES:
                undo.callback(_renew_constants, layer)
                # Not by the public setter, which cannot put a DTypePolicyMap back.
                change(layer, "_dtype_policy", _in_float32(layer))
                _renew_constants(layer)
        yield


def half_operations(directory: Path) -> list[str]:
    """Name the operations of a SavedModel that take, make or hold half-precision values."""
    saved = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for body in graph.library.function for node in body.node_def)]
    found = {
        node.name
        for node in nodes
        for value in node.attr.values()
        if not _HALF_TYPES.isdisjoint([value.type, *value.list.type])
    }
    return sorted(found)


def _steps(layer: keras.Layer) -> Sequence[Any]:
    if not isinstance(layer, keras.Model):
        return ()
    graph = getattr(layer, "_functional", None) or layer  # a Sequential holds a Functional model
    return getattr(graph, "operations", ())  # layers, casts, sums


def _inputs(layer: keras.Layer) -> list[keras.KerasTensor]:
    return (isinstance(layer, keras.Model) and getattr(layer, "inputs", None)) or []


def _in_float32(layer: keras.Layer) -> keras.DTypePolicy:
    policy = layer.dtype_policy
    if isinstance(policy, keras.dtype_policies.DTypePolicyMap):
        policy = policy[layer.path]
    return keras.dtype_policies.get(_HALF_POLICY.sub("float32", policy.name))


def _renew_constants(layer: keras.Layer) -> None:
    """Cast anew what a layer keeps in the dtype that it computed in when it was built."""
    if isinstance(layer, keras.layers.Normalization) and layer.built:
        if layer.input_mean is None:
            layer.finalize_state()
        else:
            layer.build(layer.get_build_config()["input_shape"])
