"""Images to bytes and back, by a trained autoencoder of the kind "compression"."""

from __future__ import annotations

import os
import warnings
import zlib
from typing import Any

import keras
import numpy as np

from zoo import arguments as check
from zoo.codec import coding, tables
from zoo.codec.stream import Stream
from zoo.files import replacing
from zoo.layers import EntropyBottleneck

CHUNK = 1024  # images that go through the model at a time

# Tables that cost so much more than those of the model's present densities are stale.
STALE = 0.01


class ImageCodec:
    """Compress images to bytes, and decompress them, by a trained autoencoder.

    The encoder turns an image into a few integers, the symbols; range coding writes each by a
    table of frequencies, which the codec freezes from the model's densities and keeps in the
    model's layer `latent`. What is read back are exactly these symbols, in any process and on any
    machine, for reading takes integers alone; the decoder turns them into images again. Every
    image can be written: symbols that no table holds are escaped, at 32 bits and more each.

    The range coder's bytes exceed `bits(images)` by at most a byte or so for all images together;
    a header and a checksum take 16 bytes or a few more (see `zoo.codec.stream`).

    Training goes on by `codec.model.fit`. Then call `freeze`; what was compressed before can only
    be read by the codec that was saved before.

    Args:
        model: An autoencoder of images, such as `zoo.conv_autoencoder(kind="compression")`,
            trained. Tables that it has already are kept.

    Raises:
        ValueError: If the model is something else, or its densities are not finite.

    Warns:
        UserWarning: If the model's tables are stale, as it was trained after they were frozen.

    Reference:
        Ballé, Laparra and Simoncelli, End-to-End Optimized Image Compression, 2016,
        https://arxiv.org/abs/1611.01704; Bamler, Understanding Entropy Coding With Asymmetric
        Numeral Systems, 2022, https://arxiv.org/abs/2201.01741 (the package `constriction`)

    Example:
        >>> import zoo
        >>> images = zoo.load_data("digits").test.examples(np.arange(100))
        >>> model = zoo.dense_autoencoder((8, 8, 1), 4, hidden_units=(32,), kind="compression")
        >>> model.compile("adam", "mse")
        >>> _ = model.fit(images, images, verbose=0)
        >>> codec = ImageCodec(model)
        >>> data = codec.compress(images)
        >>> type(data), codec.decompress(data).shape
        (<class 'bytes'>, (100, 8, 8, 1))
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._encoder, self._decoder, self._bottleneck = _parts(model)
        self._shape = model.input_shape[1:]
        if not keras.ops.convert_to_numpy(self._bottleneck.tables).any():
            self.freeze()
        elif (excess := self._excess_bits()) > STALE:
            warnings.warn(
                "The codec's tables do not fit the model, which was trained after they were "
                f"frozen: they cost {excess:.1%} more bits. Call `codec.freeze()`.",
                stacklevel=2,
            )

    def freeze(self) -> None:
        """Make tables anew, of the model's densities, which cannot read what was compressed before.

        Raises:
            ValueError: If the densities are not finite.
        """
        self._bottleneck.tables.assign(self._fresh_tables())

    def compress(self, images: Any) -> bytes:
        """Turn images into bytes: a header, the range coder's bytes and a checksum.

        Args:
            images: `(images, height, width, channels)`, floats in [0, 1] or uint8; any number.

        Raises:
            ImportError: If `constriction` is not installed.
            ValueError: If the images are of another shape or type, or the model turns them into
                something that is not finite.
        """
        coding.require_constriction()
        payload = coding.encode(self.encode(images), self._tables())
        return Stream(self._fingerprint(), len(images), self._shape, payload).to_bytes()

    def decompress(self, data: bytes) -> np.ndarray:
        """Turn bytes into images, float32 `(images, height, width, channels)`.

        Args:
            data: What `compress` gave.

        Raises:
            ImportError: If `constriction` is not installed.
            ValueError: If the bytes are something else, damaged, cut short, or of another codec.
        """
        return self.decode(self._read(data))

    def bits(self, images: Any) -> np.ndarray:
        """Give the bits that the frozen tables need for each image, float64 `(images,)`.

        Args:
            images: As `compress` takes them.

        Raises:
            ValueError: As `compress` does.
        """
        return tables.bits(self.encode(images), self._tables())

    def encode(self, images: Any) -> np.ndarray:
        """Turn images into symbols, int32 `(images, latent_dim)`, cut to the range of int32.

        Args:
            images: As `compress` takes them.

        Raises:
            ValueError: As `compress` does.
        """
        images = check.images("images", images, self._shape)
        symbols = np.empty((len(images), self._bottleneck.tables.shape[0]), np.int32)
        limits = np.iinfo(np.int32)
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            if chunk.dtype == np.uint8:
                chunk = np.divide(chunk, np.float32(255), dtype=np.float32)
            codes = self._encoder.predict(chunk.astype(np.float32, copy=False), verbose=0)
            if not np.isfinite(codes).all():
                raise ValueError(
                    "The model turns images into codes that are not finite: its weights are "
                    "damaged, or its training failed. Train it with a lower learning rate."
                )
            symbols[start : start + CHUNK] = codes.astype(np.float64).clip(limits.min, limits.max)
        return symbols

    def decode(self, symbols: np.ndarray) -> np.ndarray:
        """Turn symbols into images, float32 `(images, height, width, channels)`.

        Args:
            symbols: Integers `(images, latent_dim)`.

        Raises:
            ValueError: If the symbols are of another shape or type.
        """
        symbols, latent_dim = np.asarray(symbols), self._bottleneck.tables.shape[0]
        if symbols.shape[1:] != (latent_dim,) or symbols.dtype.kind not in "iu":
            raise ValueError(
                f"`symbols` must be integers of shape (images, {latent_dim}), received "
                f"{symbols.dtype} of shape {symbols.shape}."
            )
        images = np.empty((len(symbols), *self._shape), np.float32)
        for start in range(0, len(symbols), CHUNK):
            chunk = symbols[start : start + CHUNK].astype(np.float32)
            images[start : start + CHUNK] = self._decoder.predict(chunk, verbose=0)
        return images

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model with its tables to a `.keras` file.

        Args:
            path: Ends in `.keras`; an existing file is replaced.
        """
        with replacing(path) as draft:
            self.model.save(draft)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ImageCodec:
        """Read a codec that was saved; it reads what it wrote before.

        Args:
            path: Of a `.keras` file.

        Raises:
            ValueError: If there is no such file, or it holds no codec.
        """
        model = keras.saving.load_model(path, compile=False)
        if not keras.ops.convert_to_numpy(_parts(model)[2].tables).any():
            raise ValueError(
                f"{os.fspath(path)!r} holds a model without frozen tables, from which two machines "
                "could make two codecs. Make one of it, and save that: "
                "ImageCodec(keras.saving.load_model(path)).save(path)."
            )
        return cls(model)

    def _tables(self) -> np.ndarray:
        return tables.check_tables(keras.ops.convert_to_numpy(self._bottleneck.tables))

    def _fresh_tables(self) -> np.ndarray:
        largest, channels = self._bottleneck.max_symbol, self._bottleneck.tables.shape[0]
        grid = np.arange(-largest, largest + 1, dtype="float32")[:, None].repeat(channels, axis=1)
        inside = np.exp(keras.ops.convert_to_numpy(self._bottleneck.log_probabilities(grid)).T)
        outside = np.maximum(1 - inside.sum(axis=1, keepdims=True, dtype="float64"), 0)
        return tables.frequencies(np.concatenate([inside, outside], axis=1))

    def _excess_bits(self) -> float:
        """Give by how much more, as a share, codes of the present densities cost."""
        fresh, frozen = self._fresh_tables() / tables.TOTAL, self._tables() / tables.TOTAL
        return float((fresh * np.log2(frozen)).sum() / (fresh * np.log2(fresh)).sum() - 1)

    def _fingerprint(self) -> int:
        """Give a checksum of all that turns symbols into bytes and images."""
        value = zlib.crc32(self._tables().astype("<i4").tobytes())
        for weight in self._decoder.get_weights():
            value = zlib.crc32(np.asarray(weight).astype("<f4").tobytes(), value)
        return value

    def _read(self, data: bytes) -> np.ndarray:
        """Give the symbols that bytes hold."""
        coding.require_constriction()
        stream = Stream.from_bytes(data)
        if stream.fingerprint != self._fingerprint() or stream.shape != self._shape:
            raise ValueError(
                f"The data are of another codec: they hold images of {stream.shape}, this codec's "
                f"are {self._shape}, and tables or decoder differ. Load the codec that wrote them."
            )
        return coding.decode(stream.payload, self._tables(), stream.count)


def _parts(model: keras.Model) -> tuple[keras.Model, keras.Model, EntropyBottleneck]:
    """Give encoder, decoder and bottleneck of a model that can be a codec."""
    try:
        encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
        bottleneck = encoder.get_layer("latent")
    except (AttributeError, ValueError):
        bottleneck = None
    if not isinstance(bottleneck, EntropyBottleneck) or len(model.input_shape) != 4:
        raise ValueError(
            "`model` must be an autoencoder of images and of the kind 'compression', such as "
            f"zoo.conv_autoencoder(kind='compression'); received {model!r}."
        )
    return encoder, decoder, bottleneck
