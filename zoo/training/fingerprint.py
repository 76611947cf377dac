"""A caller's function, as a few words that tell it from others in any process."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import re
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_PLAIN = (str, bytes, int, float, complex, type(None), type(...))


def describe_function(function: Callable[..., Any]) -> str:
    """Describe a function so that another one has another description, in any process."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{name} {hashlib.blake2b(_content(function).encode(), digest_size=8).hexdigest()}"


def _content(value: Any, seen: dict[int, Any] | None = None) -> str:
    """Lay out what decides a function's results, without addresses in memory."""
    seen = {} if seen is None else seen
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, type | types.ModuleType):
        return value.__name__
    if not isinstance(value, tuple | frozenset | types.CodeType):  # that a process may have twice
        if id(value) in seen:  # such as an object that holds itself
            return f"number {list(seen).index(id(value))}"
        seen[id(value)] = value
    inner = functools.partial(_content, seen=seen)
    if hasattr(value, "get_config"):  # a layer of Keras's
        with contextlib.suppress(NotImplementedError):
            return type(value).__qualname__ + inner(value.get_config())
    if hasattr(value, "__array__"):
        array = np.ascontiguousarray(value)
        content = repr(array.tolist()).encode() if array.dtype == object else array.data
        return f"{array.dtype} {array.shape} {hashlib.blake2b(content).hexdigest()}"
    if isinstance(value, frozenset | set):
        return str(sorted(map(inner, value)))  # whose own order changes from process to process
    if isinstance(value, tuple | list):
        return str([inner(item) for item in value])
    if isinstance(value, Mapping):
        return str([(inner(key), inner(item)) for key, item in value.items()])
    if isinstance(value, functools.partial):
        return inner([value.func, value.args, value.keywords])
    code = getattr(value, "__code__", value)
    if hasattr(code, "co_code"):
        return inner([code.co_code.hex(), code.co_names, code.co_consts, *_beside(value, code)])
    if isinstance(value, types.BuiltinFunctionType | np.ufunc):
        return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    methods = [method for _, method in inspect.getmembers(type(value), inspect.isfunction)]
    return type(value).__qualname__ + inner([object.__getstate__(value), methods])


def _beside(function: Any, code: types.CodeType) -> list[Any]:
    """Give what a function takes from elsewhere: of its module functions and plain values."""
    own = [getattr(function, name, None) for name in ("__self__", "__defaults__", "__kwdefaults__")]
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    names = getattr(function, "__globals__", {})
    for item in (names[name] for name in code.co_names if name in names):
        is_own = isinstance(item, types.FunctionType) and item.__module__ == function.__module__
        if is_own or isinstance(item, (*_PLAIN, tuple, np.ndarray)):
            own.append(item)
    return [*own, *cells]
