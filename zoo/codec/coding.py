"""Range coding: integers to the bytes that their frequencies allow, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.codec.tables import ESCAPE_BITS, least_bits, to_indices

WORD = 4  # bytes of the range coder's words
STATE_BITS = 64  # of the range coder's state


def require_constriction() -> Any:
    """Import the range coder."""
    try:
        import constriction
    except ImportError as error:
        raise ImportError(
            "Image compression needs the package `constriction`: pip install keras-zoo[compression]"
        ) from error
    return constriction


def encode(symbols: np.ndarray, tables: np.ndarray) -> bytes:
    """Write symbols, channel by channel, each channel's escaped integers after it.

    Example:
        >>> tables = np.full((2, 4), 2**22, "int32")
        >>> encode(np.array([[0, 1], [-1, 9]], "int32"), tables).hex()
        '4b08ffffff'
    """
    coder = require_constriction().stream.queue.RangeEncoder()
    indices = to_indices(symbols, tables)
    for channel, table in enumerate(tables):
        column = indices[:, channel]
        coder.encode(np.ascontiguousarray(column), _model(table))
        escaped = symbols[column == len(table) - 1, channel]
        coder.encode(np.frombuffer(escaped.astype("<i4").tobytes(), "u1").astype("i4"), _byte())
    # Zeros go without saying, but for those that the number of images must answer for.
    return _shortest(coder).ljust(len(symbols) * least_bits(tables) // 8, b"\0")


def decode(payload: bytes, tables: np.ndarray, count: int) -> np.ndarray:
    """Read symbols. Only integers take part, so that every machine reads the same."""
    constriction = require_constriction()
    least = least_bits(tables)
    if count * least // 8 > len(payload):
        raise ValueError(
            f"The data are damaged: {len(payload)} bytes cannot hold {count} images, of which "
            f"each takes at least {least} bits."
        )
    words = np.frombuffer(payload.ljust(-(-len(payload) // WORD) * WORD, b"\0"), ">u4")
    coder = constriction.stream.queue.RangeDecoder(words.astype(np.uint32))
    symbols = np.empty((count, len(tables)), np.int32)
    escape = tables.shape[1] - 1
    try:
        for channel, table in enumerate(tables):
            column = coder.decode(_model(table), count)
            symbols[:, channel] = column - escape // 2
            escaped = column == escape
            integers = coder.decode(_byte(), escaped.sum() * ESCAPE_BITS // 8)
            symbols[escaped, channel] = np.frombuffer(integers.astype("u1").tobytes(), "<i4")
    except AssertionError as error:  # the coder's own word for bytes that it cannot have written
        raise ValueError("The data are damaged: no symbols could be read.") from error
    return symbols


def _model(table: np.ndarray) -> Any:
    # The coder adds 1 to each of its frequencies, and scales the rest to the sum that 24 bits
    # leave; given this very rest, it scales by 1, so that its frequencies are the table's.
    return require_constriction().stream.model.Categorical(
        (table - 1).astype(np.float64), perfect=False
    )


def _byte() -> Any:
    return require_constriction().stream.model.Uniform(256)


def _shortest(coder: Any) -> bytes:
    """Give the shortest bytes in the coder's interval, where its own end is in whole words.

    What was encoded is told by any number in [low, low + width), read as the bytes after a point.
    """
    position, (low, width) = coder.pos()  # of `low`, the words before `position` are in the bytes
    words = coder.get_compressed().astype(">u4").tobytes()
    digits = position * WORD * 8 + STATE_BITS
    inside = int.from_bytes(words.ljust(digits // 8, b"\0"))  # a number in the interval
    low += inside >> STATE_BITS << STATE_BITS
    if low > inside:  # the words hold a carry that is not yet in `low`
        low -= 1 << STATE_BITS
    high = low + width - 1
    # Keep the bits of `high` down to the first that differs from those of `low` - 1.
    zeros = (high ^ (low - 1)).bit_length() - 1 if low else digits
    return (high >> zeros << zeros).to_bytes(digits // 8).rstrip(b"\0")
