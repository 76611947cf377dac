"""Pictures as viewers show them, and what people have as images for a model."""

import json
import os
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.data import ImagePreparation
from zoo.data.preparation import preparation_from_config

PREPARE = ImagePreparation((4, 6, 1))
COLORED = ImagePreparation((4, 6, 3))
RAMP = np.arange(24, dtype="uint8").reshape(4, 6) * 10


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)
    return path


def png(path, depth, kind, row, mark=b"", palette=b""):
    """Write a PNG of one row, of any depth."""
    width = len(row) * 8 // depth // {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    header = struct.pack(">IIBBBBB", width, 1, depth, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", palette), (b"tRNS", mark)]
    chunks += [(b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        if data or name == b"IEND":
            content += struct.pack(">I", len(data)) + name + data
            content += struct.pack(">I", zlib.crc32(name + data))
    path.write_bytes(content)
    return path


# Files.


@pytest.mark.parametrize(
    ("depth", "kind", "row", "mark", "shown"),
    [
        (1, 0, b"\x0f", b"\0\0", [255] * 8),
        (2, 0, b"\x1b", b"", [0, 85, 170, 255]),
        (2, 0, b"\x1b", b"\0\1", [0, 255, 170, 255]),
        (4, 0, b"\x05\xaf", b"\0\5", [0, 255, 170, 255]),
        (8, 0, b"\x05\xaf\x10", b"\0\x10", [5, 175, 255]),
        (16, 0, struct.pack(">3H", 0, 65535, 25700), b"", [0, 255, 100]),
        (16, 0, struct.pack(">3H", 0, 65535, 25700), b"\x64\x64", [0, 255, 255]),
        (8, 4, b"\0\0\0\xff\0\x80", b"", [255, 0, 127]),
        (8, 2, b"\1\2\3\7\7\7", b"\0\1\0\2\0\3", [255, 7]),
        (8, 6, b"\0\0\0\0\7\7\7\xff", b"", [255, 7]),
        (4, 3, b"\x01", b"\0\xff", [255, 10]),
    ],
)
def test_every_depth_and_transparency_of_a_png(tmp_path, depth, kind, row, mark, shown):
    palette = bytes([9, 9, 9, 10, 10, 10]) if kind == 3 else b""
    path = png(tmp_path / "a.png", depth, kind, row, mark, palette)
    pixels = ImagePreparation((None, None, 1)).pixels(path)
    assert pixels.ravel().tolist() == shown


def test_the_background_is_the_callers(tmp_path):
    ink = np.zeros((4, 6, 4), "uint8")  # black on a transparent ground
    ink[1, 2, 3] = 255
    path = save(tmp_path / "ink.png", ink)
    assert PREPARE(path).sum() == 23
    orange = ImagePreparation((4, 6, 3), background="#ff8000")(path)
    np.testing.assert_allclose(orange[0, 0, 0] * 255, [255, 128, 0], rtol=1e-6)
    assert orange[0, 1, 2].tolist() == [0, 0, 0]
    for odd in ("whitish", None, (0, 0, 0)):
        with pytest.raises(ValueError, match="`background` must be a colour"):
            ImagePreparation((4, 6, 3), background=odd)


def test_what_cannot_be_shown_is_refused(tmp_path):
    deep = png(tmp_path / "deep.png", 16, 2, struct.pack(">3H", 1, 2, 3), b"\0\1\0\2\0\3")
    with pytest.raises(ValueError, match=r"deep.png cannot be decoded: 16 bits a colour"):
        COLORED(deep)
    with pytest.raises(ValueError, match="it is no JPEG, PNG, BMP, WebP or GIF"):
        COLORED(save(tmp_path / "a.tif", RAMP))
    for mode in ("F", "I", "LAB"):
        with pytest.raises(ValueError, match=f"mode {mode} is not supported"):
            COLORED(Image.new(mode, (6, 4)))
    with pytest.raises(ValueError, match="Pictures do not have 4 channels"):
        ImagePreparation((4, 6, 4))(Image.new("L", (6, 4)))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_pictures_are_upright(tmp_path, suffix):
    half = np.zeros((40, 60), "uint8")
    half[:, :30] = 255  # stored with the left half white: upright, the upper one
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / f"a.{suffix}", half, exif=exif)
    pixels = ImagePreparation((None, None, 1)).pixels(path)
    assert pixels.shape == (60, 40, 1)
    assert pixels[:28].min() > 240
    assert pixels[32:].max() < 15


def test_a_picture_of_too_many_pixels_is_never_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (12000, 12000)).save(path)
    with pytest.raises(ValueError, match=r"declares \(12000, 12000\) pixels, above max_pixels"):
        PREPARE(path)
    code = (
        "import resource, sys, zoo.data; prepare = zoo.data.ImagePreparation((4, 6, 1))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: prepare(sys.argv[1])\n"
        "except ValueError: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True)
    assert int(done.stdout) < 60_000  # kB; decoded, it takes 144 MB
    limited = ImagePreparation((4, 6, 1), max_pixels=23)
    with pytest.raises(ValueError, match=r"\(6, 4\) pixels, above max_pixels=23"):
        limited(save(tmp_path / "a.png", RAMP))


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="it is no regular file"):
        PREPARE(tmp_path / "pipe.png")
    with pytest.raises(FileNotFoundError):
        PREPARE(tmp_path / "gone.png")


def test_the_data_do_without_tensorflow():
    code = "import sys, zoo.data; assert 'tensorflow' not in sys.modules"
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


# What people have.


def test_paths_lists_folders_and_pillows_images_are_prepared_alike(tmp_path):
    for name in ("10.png", "2.png"):
        save(tmp_path / name, RAMP + int(name[:-4]))
    (tmp_path / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "inner").mkdir()
    paths = [tmp_path / "2.png", tmp_path / "10.png"]
    expected = np.stack([RAMP + 2, RAMP + 10])[..., None] / np.float32(255)
    np.testing.assert_array_equal(PREPARE(paths), expected)
    np.testing.assert_array_equal(PREPARE(np.array(paths, dtype=str)), expected)
    np.testing.assert_array_equal(PREPARE([Image.open(path) for path in paths]), expected)
    np.testing.assert_array_equal(PREPARE(str(paths[1])), expected[1:])
    np.testing.assert_array_equal(COLORED(paths[0])[..., 2:], expected[:1])
    with pytest.warns(UserWarning, match="Passed over: 1 files .*Thumbs") as caught:
        np.testing.assert_array_equal(PREPARE(tmp_path), expected)
    assert caught[0].filename == __file__
    assert PREPARE.names(tmp_path) == PREPARE.names(paths) == [str(path) for path in paths]
    assert PREPARE.names(paths[0]) == [str(paths[0])]
    assert PREPARE.names(np.stack([RAMP, RAMP])) == ["0", "1"]
    assert PREPARE.names([Image.new("L", (6, 4))]) == ["0"]
    with pytest.raises(ValueError, match="has no images directly in it"):
        PREPARE(tmp_path / "inner")


def test_a_picture_of_another_size_is_resized_an_array_is_refused():
    stripes = np.tile(np.array([255, 0, 0, 0], "uint8"), (16, 12))
    np.testing.assert_allclose(PREPARE(Image.fromarray(stripes)).mean(), 0.25, atol=0.02)
    with pytest.raises(ValueError, match=r"shape \(n, 4, 6, 1\).*\(16, 48\).*Pillow's images are"):
        PREPARE(stripes)


@pytest.mark.parametrize("x", [RAMP, RAMP[None], RAMP[..., None], RAMP[None, ..., None], [RAMP]])
def test_one_image_or_several(x):
    np.testing.assert_array_equal(PREPARE(x), RAMP[None, ..., None] / np.float32(255))


def test_other_scales_are_scaled_with_a_word():
    expected = RAMP[None, ..., None] / np.float32(255)
    for x in (RAMP.astype(float), RAMP.astype("int64"), RAMP.tolist()):
        with pytest.warns(UserWarning, match="are taken as 0 to 255") as caught:
            np.testing.assert_array_equal(PREPARE(x), expected)
        assert caught[0].filename == __file__
    with warnings.catch_warnings(action="error"):
        np.testing.assert_array_equal(PREPARE(RAMP / np.float32(255)), expected)
        assert PREPARE(RAMP > 100).dtype == np.float32
        assert PREPARE(RAMP * 0).max() == 0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (RAMP / 115 - 1, r"pass \(x \+ 1\) / 2"),
        (RAMP * 2.0, "from 0 to 460. Scale"),
        (RAMP / 200, "from 0 to 1.15. Scale"),
        (RAMP // 200, "uint8 from 0 to 1. If they are black and white"),
        (np.where(RAMP, RAMP / 255, np.nan), "NaN"),
        (np.where(RAMP, np.inf, 0), "infinite"),
        (RAMP + 1j, "must be numbers; received complex128"),
        (RAMP[:0], r"shape \(0, 6\)"),
        ([], r"shape \(0,\)"),
        ([RAMP, RAMP[1:]], "differ in shape"),
        (None, "must be of shape"),
        (np.zeros((5, 1, 4, 6)), r"np.moveaxis\(x, -3, -1\)"),
    ],
)
def test_arrays_that_cannot_be_meant_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        PREPARE(x)


def test_images_that_were_divided_twice_are_refused():
    prepare = ImagePreparation((4, 4, 1))
    x = np.random.default_rng(0).random((3, 4, 4, 1), "float32")
    with pytest.raises(ValueError, match="divided by 255 twice"):
        prepare(x / 255)
    with pytest.raises(ValueError, match="masked in part"):
        prepare(np.ma.masked_array(x, mask=x > 0.5))
    assert prepare(0 * x).max() == 0


def test_the_transparent_level_of_black_and_white(tmp_path):
    Image.new("1", (4, 4), 1).save(tmp_path / "w.png", transparency=1)
    prepare = ImagePreparation((4, 4, 1), background="black")
    assert prepare.pixels(tmp_path / "w.png").max() == 0
    with Image.open(tmp_path / "w.png") as image:
        image.load()
        assert prepare.pixels(image).max() == 0


def test_as_many_pixels_as_pillow_takes():
    with pytest.raises(ValueError, match="`max_pixels` must be at most 178956970"):
        ImagePreparation((4, 4, 1), max_pixels=10**9)


def test_any_size_and_ambiguous_shapes():
    anything = ImagePreparation((None, None, 1))
    assert anything(RAMP).shape == (1, 4, 6, 1)
    assert anything(Image.new("L", (3, 2))).shape == (1, 2, 3, 1)
    with pytest.raises(ValueError, match="is one image or several: pass images as"):
        anything(RAMP[..., None])
    with pytest.raises(ValueError, match="differ in size: pass those of one"):
        anything([Image.new("L", (3, 2)), Image.new("L", (2, 3))])


def test_a_preparation_is_plain_data():
    prepare = ImagePreparation((4, 6, 3), background="#00ff00", max_pixels=99)
    kept = json.loads(json.dumps(prepare.get_config()))
    assert preparation_from_config(kept) == prepare


def test_each_image_of_a_list_has_its_own_scale():
    bright = np.full((4, 4, 1), 255, "uint8")
    found = ImagePreparation((4, 4, 1))([bright, bright / 255.0])
    np.testing.assert_array_equal(found, np.ones((2, 4, 4, 1)))


def test_a_background_that_is_transparent_is_refused():
    with pytest.raises(ValueError, match="background"):
        ImagePreparation((4, 4, 1), background="#ff000080")
    assert ImagePreparation((4, 4, 1), background="#ff0000ff").background == "#ff0000ff"


@pytest.mark.parametrize("shape", [(60, 60, 3), (28, 28, 1)])
def test_one_image_is_not_taken_for_many_rows(shape):
    with pytest.raises(ValueError, match="look like one image"):
        zoo.load_data((np.zeros(shape), np.arange(shape[0]) % 2))
