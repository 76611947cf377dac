"""The bytes of compressed images: a header, the range coder's bytes, and a checksum.

| bytes    | content                                                                  |
|----------|--------------------------------------------------------------------------|
| 3        | `KZI`                                                                    |
| 1        | version of the format, 1                                                 |
| 4        | fingerprint of the codec: of its tables and of its decoder's weights     |
| 1 or more| number of images, height, width and channels, 7 bits a byte, lowest first|
| any      | the range coder's bytes                                                  |
| 4        | CRC-32 of all before it, lowest byte first                               |

For images of less than 128 pixels a side, and less than 128 of them, what is beside the range
coder's bytes takes 16 bytes.
"""

from __future__ import annotations

import dataclasses
import zlib

MAGIC = b"KZI"
VERSION = 1
CHECKSUM = 4  # bytes
FINGERPRINT = 4  # bytes
LONGEST_NUMBER = 5  # bytes, of 7 bits each


@dataclasses.dataclass(frozen=True)
class Stream:
    """What the bytes of compressed images hold."""

    fingerprint: int
    count: int
    shape: tuple[int, ...]
    payload: bytes

    def to_bytes(self) -> bytes:
        """Write the bytes."""
        numbers = b"".join(map(_number, (self.count, *self.shape)))
        fingerprint = self.fingerprint.to_bytes(FINGERPRINT, "little")
        data = MAGIC + bytes([VERSION]) + fingerprint + numbers + self.payload
        return data + zlib.crc32(data).to_bytes(CHECKSUM, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> Stream:
        """Read the bytes."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise ValueError(f"Expected the bytes of compressed images, received {type(data)}.")
        data = bytes(data)
        if not data.startswith(MAGIC):
            raise ValueError(f"These are no compressed images: they begin with {data[:4]!r}.")
        start = len(MAGIC) + 1
        if data[len(MAGIC) : start] != bytes([VERSION]):
            raise ValueError(
                f"The data are damaged, or of another version of the format than {VERSION}: take "
                "another copy, or update keras-zoo."
            )
        body, checksum = data[start:-CHECKSUM], data[-CHECKSUM:]
        if zlib.crc32(data[:start] + body).to_bytes(CHECKSUM, "little") != checksum:
            raise ValueError("The data are damaged or cut short (their checksum is wrong).")
        fingerprint, rest = int.from_bytes(body[:FINGERPRINT], "little"), body[FINGERPRINT:]
        numbers = []
        for _ in range(4):
            number, rest = _read_number(rest)
            numbers.append(number)
        return cls(fingerprint, numbers[0], tuple(numbers[1:]), rest)


def _number(value: int) -> bytes:
    """Write a number, 7 bits a byte; the highest bit tells that more bytes follow."""
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def _read_number(data: bytes) -> tuple[int, bytes]:
    """Give the number that the data begin with, and the rest."""
    value = 0
    for index, digit in enumerate(data[:LONGEST_NUMBER]):
        value |= (digit & 127) << 7 * index
        if digit < 128:
            return value, data[index + 1 :]
    raise ValueError("The data are damaged: their header does not end.")
