"""Image compression: exact symbols, honest lengths, any image, and bytes that nothing wrote."""

import os
import subprocess
import sys
import zlib

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import zoo
from zoo.codec import ImageCodec, rate_distortion
from zoo.codec.stream import Stream

DAMAGE = "no compressed images|damaged|of another codec"
HEADER = 16  # bytes beside the range coder's, for fewer than 128 small images


def trained(digits, builder=zoo.dense_autoencoder, **arguments):
    keras.utils.set_random_seed(0)
    model = builder((8, 8, 1), 6, kind="compression", penalty_weight=0.05, **arguments)
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    x = digits.train.examples(np.arange(len(digits.train)))
    model.fit(x, x, batch_size=32, epochs=4, verbose=0)
    return model


@pytest.fixture(scope="module")
def codec(digits):
    return ImageCodec(trained(digits, hidden_units=(64,)))


@pytest.fixture(scope="module")
def images(digits):
    return digits.test.examples(np.arange(len(digits.test)))


@pytest.fixture
def another(codec):
    """A copy of the codec, to be spoilt."""
    model = keras.models.clone_model(codec.model)
    model.set_weights(codec.model.get_weights())
    return ImageCodec(model)


def clean(message):
    return pytest.raises(ValueError, match=message)


def test_images_come_back_as_the_model_rebuilds_them(codec, images):
    data = codec.compress(images)
    rebuilt = codec.model.predict(images, verbose=0)
    np.testing.assert_allclose(codec.decompress(data), rebuilt, atol=1e-5)
    assert np.mean(np.square(rebuilt - images)) < 0.8 * images.var(axis=0).mean()


def test_symbols_come_back_exactly(codec, images):
    symbols = codec.encode(images)
    assert symbols.dtype == np.int32
    assert len(np.unique(symbols)) > 3
    np.testing.assert_array_equal(codec._read(codec.compress(images)), symbols)


def test_bytes_of_a_batch_are_within_a_percent_of_the_rate(codec, images):
    payload = Stream.from_bytes(codec.compress(images)).payload
    rate = codec.bits(images).sum() / 8
    assert rate <= len(payload) <= 1.01 * rate
    # And this rate, of integers, is the one that training sees.
    codec.model.compile("adam", "mse")
    told = codec.model.evaluate(images, images, batch_size=len(images), verbose=0, return_dict=True)
    assert codec.bits(images).mean() == pytest.approx(told["bits"], rel=0.01)


def test_an_image_alone_costs_at_most_a_byte_more_than_its_rate(codec, images):
    for image, bits in zip(images[:40], codec.bits(images[:40]), strict=True):
        data = codec.compress(image[None])
        assert len(data) - HEADER <= bits / 8 + 1
        assert len(data) - HEADER == len(Stream.from_bytes(data).payload)


def test_bits_are_those_of_the_frequencies(codec, images):
    frequencies = ops.convert_to_numpy(codec.model.get_layer("encoder").get_layer("latent").tables)
    middle = (frequencies.shape[1] - 2) // 2
    expected = [
        (24 - np.log2(frequencies[np.arange(6), row + middle])).sum()
        for row in codec.encode(images[:5])
    ]
    np.testing.assert_allclose(codec.bits(images[:5]), expected)


random = np.random.default_rng(0)
odd_images = {
    "black": np.zeros((3, 8, 8, 1)),
    "white": np.ones((3, 8, 8, 1)),
    "noise": random.random((50, 8, 8, 1)),
    "salt": random.integers(0, 2, (50, 8, 8, 1)).astype("float64"),
    "bytes": random.integers(0, 256, (5, 8, 8, 1), dtype="uint8"),
    "half": random.random((5, 8, 8, 1)).astype("float16"),
    "none": np.zeros((0, 8, 8, 1)),
}


@pytest.mark.parametrize("gain", [1, 1e3, 1e30])
@pytest.mark.parametrize("kind", odd_images)
def test_any_image_survives(another, kind, gain):
    code = another.model.get_layer("encoder").get_layer("code")
    code.kernel.assign(code.kernel * gain)  # symbols beyond the tables, and beyond int32
    symbols = another.encode(odd_images[kind])
    if gain > 1 and symbols.size:
        assert np.abs(symbols.astype("int64")).max() > 127
    if gain > 1e3 and symbols.size:
        assert np.abs(symbols.astype("int64")).max() >= 2**31 - 1
    data = another.compress(odd_images[kind])
    np.testing.assert_array_equal(another._read(data), symbols)
    assert another.decompress(data).shape == odd_images[kind].shape
    assert len(data) - HEADER <= another.bits(odd_images[kind]).sum() / 8 + 1


def test_bytes_are_images_of_255_levels(codec, images):
    levels = np.round(images * 255).astype("uint8")
    assert codec.compress(levels) == codec.compress((levels / 255).astype("float32"))


def test_chunks_do_not_show(codec, images, monkeypatch):
    many = np.concatenate([images] * 4)
    assert len(many) > 1024
    symbols = codec.encode(many)
    np.testing.assert_array_equal(codec.encode(images), symbols[: len(images)])
    rebuilt = codec.decompress(codec.compress(many))
    np.testing.assert_allclose(rebuilt[-len(images) :], rebuilt[: len(images)], atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((8, 8, 1)), r"\(images, 8, 8, 1\), received \(8, 8, 1\)"),
        (np.zeros((2, 8, 9, 1)), r"received \(2, 8, 9, 1\)"),
        (np.zeros((2, 8, 8, 1), "int64"), "received int64"),
        (np.full((2, 8, 8, 1), 255.0), "from 255 to 255"),
        (np.full((2, 8, 8, 1), -0.1), "from -0.1 to -0.1"),
        (np.full((2, 8, 8, 1), np.nan), "from nan to nan"),
        ("digits.png", r"received \(\)"),
    ],
)
def test_what_is_no_image_is_refused(codec, wrong, message):
    with clean(message):
        codec.compress(wrong)
    with clean(message):
        codec.bits(wrong)


def test_a_broken_model_is_refused(another, images):
    code = another.model.get_layer("encoder").get_layer("code")
    code.kernel.assign(code.kernel * np.nan)
    with clean("not finite"):
        another.compress(images)
    another.model.get_layer("encoder").get_layer("latent")._centers.assign(np.full((6, 3), np.nan))
    with clean("not finite"):
        another.freeze()


def test_other_models_are_refused(codec):
    plain = zoo.dense_autoencoder((8, 8, 1), 4, hidden_units=())
    vectors = zoo.dense_autoencoder((8,), 4, hidden_units=(), kind="compression")
    encoder = codec.model.get_layer("encoder")
    for model in (plain, vectors, encoder, zoo.mlp((8, 8, 1), 10), "codec.keras"):
        with clean("of the kind 'compression'"):
            ImageCodec(model)


# Bytes that nothing wrote


def test_every_cut_and_every_changed_byte_is_an_error(codec, images):
    data = codec.compress(images[:3])
    for length in range(len(data)):
        with clean(DAMAGE):
            codec.decompress(data[:length])
    for place in range(len(data)):
        for change in range(1, 256):
            damaged = bytearray(data)
            damaged[place] ^= change
            with clean(DAMAGE):
                codec.decompress(damaged)
    with clean("damaged or cut short"):
        codec.decompress(data + b"\0")


quick = settings(max_examples=300, deadline=None, derandomize=True)


@quick
@given(st.binary(max_size=200))
def test_random_bytes_are_an_error(codec, data):
    for whole in (data, b"KZI\1" + data, sealed(b"KZI\1" + data)):
        with clean(DAMAGE):
            codec.decompress(whole)


def sealed(data):
    return data + zlib.crc32(data).to_bytes(4, "little")


@quick
@given(
    count=st.integers(0, 2**35 - 1) | st.integers(0, 200),
    payload=st.binary(max_size=60) | st.just(b"\xff" * 60) | st.just(b"\0" * 60),
)
def test_crafted_bytes_give_images_or_an_error(codec, count, payload):
    """With a right checksum: what is given for images is bounded by the bytes' length."""
    data = Stream(codec._fingerprint(), count, (8, 8, 1), payload).to_bytes()
    try:
        symbols = codec._read(data)
    except ValueError:
        return
    assert symbols.shape == (count, 6)
    assert count // 8 <= len(payload)


@pytest.mark.parametrize("shape", [(8, 8, 3), (2**34, 2**34, 2**34), (0, 0, 0)])
def test_another_shape_is_an_error(codec, shape):
    with clean("of another codec"):
        codec.decompress(Stream(codec._fingerprint(), 1, shape, bytes(20)).to_bytes())


@pytest.mark.parametrize("symbols", [[[1, 2]], np.zeros((2, 6)), np.zeros(6, int)])
def test_other_things_than_symbols_are_an_error(codec, symbols):
    with clean(r"integers of shape \(images, 6\)"):
        codec.decode(symbols)


@pytest.mark.parametrize("images", [np.zeros((2, 8, 8, 1), "uint8"), np.zeros((2, 8, 8, 2))])
def test_curves_of_other_images_are_an_error(images):
    with clean("1 or 3"):
        rate_distortion(images, [])


def test_a_header_without_an_end_is_an_error(codec):
    with clean("header does not end"):
        codec.decompress(sealed(b"KZI\1" + b"\xff" * 50))
    with clean("received <class 'str'>"):
        codec.decompress("KZI")
    with clean("begin with b'GIF8'"):
        codec.decompress(b"GIF89a")
    with clean("another version of the format"):
        codec.decompress(sealed(b"KZI\2" + bytes(20)))


# Processes, machines, files

elsewhere = """
import sys
import numpy as np
from zoo.codec import ImageCodec
directory = sys.argv[1]
codec = ImageCodec.load(directory + "/codec.keras")
data = open(directory + "/images.kzi", "rb").read()
np.testing.assert_array_equal(codec._read(data), np.load(directory + "/symbols.npy"))
np.testing.assert_allclose(codec.decompress(data), np.load(directory + "/images.npy"), atol=1e-4)
images = np.load(directory + "/images.npy")
np.testing.assert_array_equal(codec._read(codec.compress(images)), codec.encode(images))
print(codec.model.layers[1].weights[0].value.__class__)
"""


def run(script, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(("backend", "builder"), [("tensorflow", "dense"), ("jax", "conv")])
def test_another_process_and_backend_reads_the_same_symbols(
    codec, digits, images, tmp_path, backend, builder
):
    if builder == "conv":
        codec = ImageCodec(trained(digits, zoo.conv_autoencoder, filters=(8, 8), convs_per_block=1))
    codec.save(tmp_path / "codec.keras")
    data = codec.compress(images)
    (tmp_path / "images.kzi").write_bytes(data)
    np.save(tmp_path / "symbols.npy", codec.encode(images))
    np.save(tmp_path / "images.npy", codec.decompress(data))
    result = run(elsewhere, str(tmp_path), KERAS_BACKEND=backend)
    assert result.returncode == 0, result.stderr
    assert backend in result.stdout


without_constriction = """
import sys
sys.modules["constriction"] = None  # as if it were not installed
import numpy as np
from zoo.codec import ImageCodec
codec = ImageCodec.load(sys.argv[1])
images = np.zeros((2, 8, 8, 1))
assert codec.bits(images).shape == (2,)
for work in (lambda: codec.compress(images), lambda: codec.decompress(b"")):
    try:
        work()
    except ImportError as error:
        assert "pip install keras-zoo[compression]" in str(error)
    else:
        raise SystemExit("no error")
"""


def test_without_the_range_coder_the_extra_is_named(codec, tmp_path):
    codec.save(tmp_path / "codec.keras")
    result = run(without_constriction, str(tmp_path / "codec.keras"))
    assert result.returncode == 0, result.stderr


def test_a_codec_with_bfloat16_inside(digits, images):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        codec = ImageCodec(trained(digits, hidden_units=(64,)))
    finally:
        keras.config.set_dtype_policy(policy)
    symbols = codec.encode(images)
    np.testing.assert_array_equal(codec._read(codec.compress(images)), symbols)
    assert codec.decompress(codec.compress(images)).dtype == np.float32
    assert codec.bits(images).mean() < 100


def test_a_loaded_codec_reads_what_it_wrote(codec, images, tmp_path):
    path = tmp_path / "codec.keras"
    codec.save(path)
    data = codec.compress(images)
    loaded = ImageCodec.load(path)
    assert loaded.compress(images) == data
    np.testing.assert_array_equal(loaded.decompress(data), codec.decompress(data))
    # Even where another machine would freeze the densities into other tables.
    bottleneck = loaded.model.get_layer("encoder").get_layer("latent")
    bottleneck._log_scales.assign(bottleneck._log_scales + 1e-5)
    again = ImageCodec(loaded.model)
    np.testing.assert_array_equal(again.decompress(data), codec.decompress(data))


def test_a_model_without_tables_is_not_loaded_as_a_codec(tmp_path):
    model = zoo.dense_autoencoder((8, 8, 1), 4, hidden_units=(), kind="compression")
    model.save(tmp_path / "model.keras")
    with clean("without frozen tables"):
        ImageCodec.load(tmp_path / "model.keras")
    with clean("of the kind 'compression'"):
        zoo.mlp((8, 8, 1), 10).save(tmp_path / "mlp.keras")
        ImageCodec.load(tmp_path / "mlp.keras")


def test_bytes_of_another_codec_are_refused(codec, another, images):
    data = codec.compress(images)
    decoder = another.model.get_layer("decoder")
    decoder.set_weights([np.nextafter(weight, 2) for weight in decoder.get_weights()])
    with clean("of another codec"):
        another.decompress(data)


def test_more_training_makes_tables_stale_until_they_are_frozen_anew(another, images):
    data = another.compress(images)
    model = another.model
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    model.fit(images, images, epochs=5, verbose=0)
    with clean("of another codec"):
        another.decompress(data)
    with pytest.warns(UserWarning, match="do not fit the model"):
        stale = ImageCodec(model)
    bits = stale.bits(images).mean()
    np.testing.assert_array_equal(stale._read(stale.compress(images)), stale.encode(images))
    stale.freeze()
    assert stale.bits(images).mean() < bits
    ImageCodec(model)  # warns no more


def test_damaged_tables_are_refused(another, images):
    bottleneck = another.model.get_layer("encoder").get_layer("latent")
    bottleneck.tables.assign(bottleneck.tables + 1)
    with clean("tables are damaged"):
        another.compress(images)
