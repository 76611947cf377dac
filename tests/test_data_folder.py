"""Folders of image files: classes, splits, formats, corrupt files, streaming, order."""

import shutil
import warnings

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from zoo.data import Augment, Part, load_data

COUNT = 90  # of the digits 0, 1, 2: about 30 each


@pytest.fixture(scope="module")
def digits():
    raw = load_digits(n_class=3)
    return (raw.images[:COUNT] * 15.9375).astype("uint8"), raw.target[:COUNT]


@pytest.fixture(scope="module")
def folder(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("digits")
    for index, (image, label) in enumerate(zip(*digits, strict=True)):
        save(path / f"class{label}" / f"{index:03}.png", image)
    return path


@pytest.fixture
def own_folder(folder, tmp_path):
    """A copy, for a test to spoil."""
    return shutil.copytree(folder, tmp_path / "own")


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def files(part):
    return part._source.files[part.rows].tolist()


def everything(part):
    return part.examples(np.arange(len(part)))


def load_quietly(path, **arguments):
    with warnings.catch_warnings(action="ignore"):
        return load_data(path, on_corrupt="skip", **arguments)


# What is read.


def test_folder_holds_each_image_once_under_its_class(digits, folder):
    data = load_data(folder)
    assert data.class_names == ("class0", "class1", "class2")
    assert data.input_shape == (8, 8, 1)
    parts = (data.train, data.validation, data.test)
    found = [file for part in parts for file in files(part)]
    assert sorted(found) == sorted(map(str, folder.glob("*/*.png")))
    assert [len(part) for part in parts] == [63, 9, 18]
    images, labels = digits
    for part in parts:
        rows = [int(file[-7:-4]) for file in files(part)]
        expected = images[rows].astype("float32")[..., None] / 255
        np.testing.assert_array_equal(everything(part), expected)
        np.testing.assert_array_equal(part.labels, labels[rows])
        assert set(part.labels) == {0, 1, 2}


def test_split_depends_on_the_seed_alone(folder):
    first, again, other = load_data(folder), load_data(str(folder)), load_data(folder, seed=1)
    assert files(first.test) == files(again.test)
    assert files(first.test) != files(other.test)


def test_train_validation_and_test_folders_are_kept(digits, tmp_path):
    images, labels = digits
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        part = ("train", "test", "validation")[index % 5 if index % 5 < 3 else 0]
        save(tmp_path / part / str(label) / f"{index:03}.png", image)
    data = load_data(tmp_path, seed=7)
    for name, part in (("validation", data.validation), ("test", data.test)):
        assert len(part) == 18
        assert all(f"/{name}/" in file for file in files(part))
    shutil.rmtree(tmp_path / "validation")
    data = load_data(tmp_path, validation_fraction=0.25)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [40, 14, 18]
    assert all("/train/" in file for file in files(data.validation))


FORMATS = {
    "grey.png": ("L", {}),
    "one_bit.png": ("1", {}),
    "alpha.png": ("RGBA", {}),
    "grey_alpha.png": ("LA", {}),
    "palette.png": ("P", {}),
    "rgb.jpg": ("RGB", {"quality": 95}),
    "grey.jpeg": ("L", {"quality": 95}),
    "cmyk.jpg": ("CMYK", {"quality": 95}),
    "rgb.bmp": ("RGB", {}),
    "grey.bmp": ("L", {}),
    "still.gif": ("P", {}),
    "moving.gif": ("P", {"save_all": True, "append_images": [Image.new("P", (32, 24), 1)]}),
    "rgb.webp": ("RGB", {"lossless": True}),
}


@pytest.mark.parametrize(("color", "channels"), [("grey", 1), ("rgb", 3)])
def test_every_format_gives_the_same_picture(tmp_path, color, channels):
    slope = np.linspace(40, 200, 32).astype("uint8")
    picture = Image.fromarray(np.broadcast_to(slope, (24, 32)).copy())
    for name, (mode, options) in FORMATS.items():
        (tmp_path / name).mkdir()
        for copy in range(3):
            image = picture.quantize() if mode == "P" else picture.convert("RGB").convert(mode)
            image.save(tmp_path / name / f"{copy}{name}", **options)
    data = load_data(tmp_path, color=color, test_fraction=0.34, validation_fraction=0.34)
    assert data.input_shape == (24, 32, channels)
    for image, label in zip(everything(data.test), data.test.labels, strict=True):
        if data.class_names[label] != "one_bit.png":  # it is dithered
            expected = np.broadcast_to(slope[:, None] / 255, image.shape)
            np.testing.assert_allclose(image, expected, atol=0.02)


def test_grey_of_a_colored_picture_is_its_luma(tmp_path):
    colors = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], "uint8")
    for label in range(2):
        for copy in range(4):
            save(tmp_path / str(label) / f"{copy}.png", colors)
    options = {"test_fraction": 0.25, "validation_fraction": 0.25}
    assert load_data(tmp_path, **options).input_shape == (1, 4, 3)
    grey = load_data(tmp_path, color="grey", **options)
    np.testing.assert_allclose(
        grey.test.examples([0])[0, 0, :, 0], [0.299, 0.587, 0.114, 1], atol=1 / 255
    )


def test_the_commonest_size_and_color_are_taken_with_a_warning(own_folder, digits):
    save(own_folder / "class0" / "000.png", np.dstack([digits[0][0]] * 3)[:, :6])
    with pytest.warns(UserWarning, match="2 sizes") as caught:
        assert load_data(own_folder).input_shape == (8, 8, 1)
    assert [warning.filename for warning in caught] == [__file__]
    message = str(caught[0].message)
    assert "89 of 90: image_size=(8, 8)" in message
    assert "1 rgb and 89 grey images, and all are made color='grey'" in message
    with warnings.catch_warnings(action="error"):
        assert load_data(own_folder, image_size=(5, 7), color="grey").input_shape == (5, 7, 1)


def test_larger_images_are_averaged_not_sampled(tmp_path):
    stripes = np.tile([255, 0, 0, 0], (32, 8))  # every fourth column; sampling may miss them
    for label in range(2):
        for copy in range(4):
            save(tmp_path / str(label) / f"{copy}.png", stripes.astype("uint8"))
    data = load_data(tmp_path, image_size=(8, 8), validation_fraction=0.25, test_fraction=0.25)
    np.testing.assert_allclose(everything(data.test).mean(), 0.25, atol=0.02)


def test_hidden_files_are_passed_over(own_folder):
    (own_folder / ".git").mkdir()
    (own_folder / "README.md").write_text("beside the class folders, anything may lie")
    (own_folder / "class1" / ".DS_Store").write_bytes(b"\0")
    assert sum(len(part) for part in (load_data(own_folder).train,)) == 63


# What is refused.


@pytest.fixture
def spoiled_folder(own_folder):
    """Four files that are no images: empty, text, half a JPEG, and a link to nothing."""
    (own_folder / "class0" / "empty.png").write_bytes(b"")
    (own_folder / "class1" / "text.png").write_text("This is not a picture.")
    save(own_folder / "class2" / "half.jpg", np.arange(4096, dtype="uint8").reshape(64, 64))
    half = own_folder / "class2" / "half.jpg"
    half.write_bytes(half.read_bytes()[:-200])
    (own_folder / "class2" / "gone.png").symlink_to("nowhere.png")
    return own_folder


def test_files_that_are_no_images_are_named(spoiled_folder):
    with pytest.raises(ValueError, match="4 of 94 files cannot be decoded") as caught:
        load_data(spoiled_folder)
    message = str(caught.value)
    assert "empty.png (it is no JPEG, PNG, BMP, WebP or GIF file)" in message
    assert "text.png (it is no JPEG" in message
    assert "half.jpg (image file is truncated" in message
    assert "gone.png (No such file or directory)" in message
    assert "on_corrupt='skip'" in message


def test_files_that_are_no_images_can_be_left_out(spoiled_folder, folder):
    with pytest.warns(UserWarning, match=r"Left out: 4 of 94 files[\s\S]*half\.jpg") as caught:
        data = load_data(spoiled_folder, on_corrupt="skip")
    assert caught[0].filename == __file__
    clean = load_data(folder)
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(
            everything(getattr(data, part)), everything(getattr(clean, part))
        )
    assert files(load_quietly(spoiled_folder).test) == files(data.test)


def test_bad_files_are_left_out_of_their_own_part(folder, spoiled_folder, tmp_path):
    shutil.copytree(folder, tmp_path / "split" / "test")
    shutil.copytree(spoiled_folder, tmp_path / "split" / "train", symlinks=True)
    data = load_quietly(tmp_path / "split", validation_fraction=0)
    np.testing.assert_array_equal(everything(data.train), everything(data.test))
    assert data.train.labels.tolist() == data.test.labels.tolist()
    assert all("/test/" in file for file in files(data.test))


def test_only_ten_bad_files_are_named(own_folder):
    for index in range(12):
        (own_folder / "class0" / f"bad{index:02}.png").write_text("no")
    with pytest.raises(ValueError, match="12 of 102 files") as caught:
        load_data(own_folder)
    assert str(caught.value).count(".png (") == 10
    assert "... and 2 more" in str(caught.value)


def test_a_class_of_only_bad_files_is_named(own_folder):
    for file in (own_folder / "class1").iterdir():
        file.write_text("no")
    with pytest.raises(ValueError, match="Class 'class1' has no example in the data of"):
        load_quietly(own_folder)


def test_malformed_folders_are_refused(own_folder, tmp_path):
    (own_folder / "class3").mkdir()
    with pytest.raises(ValueError, match=r"class3 is empty\. Add images, or remove it"):
        load_data(own_folder)
    save(own_folder / "class3" / "inner" / "0.png", np.zeros((8, 8), "uint8"))
    with pytest.raises(
        ValueError, match=r"taken for the class 'class3'.* holds the folder 'inner'"
    ):
        load_data(own_folder)
    with pytest.raises(ValueError, match="has no folder inside"):
        load_data(own_folder / "class0")
    for name in ("no", "yes"):
        (tmp_path / "texts" / name).mkdir(parents=True)
        (tmp_path / "texts" / name / "a.png").write_text("no")
    with pytest.raises(ValueError, match=r"None of the files in .* is an image"):
        load_quietly(tmp_path / "texts")


def test_malformed_split_folders_are_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "train")
    with pytest.raises(ValueError, match="is split into train; a split folder needs train and t"):
        load_data(tmp_path)
    shutil.copytree(folder, tmp_path / "test")
    (tmp_path / "test" / "class2").rename(tmp_path / "test" / "class3")
    with pytest.raises(ValueError, match="same classes; only one of them has 'class2', 'class3'"):
        load_data(tmp_path)
    (tmp_path / "test").rename(tmp_path / "val")
    with pytest.raises(ValueError, match=r"must be named train, validation, test\.\)"):
        load_data(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 8}, r"`image_size` must be \(height, width\), received 8"),
        ({"image_size": (8, 0)}, r"`image_size\[1\]` must be an integer of at least 1"),
        ({"background": "whitish"}, "`background` must be a colour"),
        ({"max_pixels": 0}, "`max_pixels` must be an integer of at least 1"),
        ({"color": "gray"}, "`color` must be one of 'grey', 'rgb', received 'gray'. Did you"),
    ],
)
def test_illegal_arguments_are_refused(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_data(folder, **arguments)


# Batches.


def test_batches_equal_those_of_the_same_images_in_memory(folder):
    """Two implementations of one contract: order, augmentation, last batch, several epochs."""
    part = load_data(folder).train
    in_memory = Part(everything(part), part.labels)
    for options in (
        {},
        {"seed": 5, "first_epoch": 2},
        {"seed": 5, "augment": Augment(flip=True, shift=1, erase=1)},
    ):
        streamed, expected = part.batches(16, **options), in_memory.batches(16, **options)
        assert len(streamed) == len(expected) == 4
        for _ in range(2):
            for (x, y), (x2, y2) in zip(streamed, expected, strict=True):
                np.testing.assert_array_equal(x, x2)
                np.testing.assert_array_equal(y, y2)
                assert (x.dtype, y.dtype) == (np.float32, np.int64)


def test_a_resumed_fit_sees_the_batches_of_an_uninterrupted_one(folder):
    class Recorder(keras.Model):
        def train_step(self, batch):
            self.seen.append([np.array(value) for value in batch])
            return {"loss": 0.0}

    def fit(first_epoch):
        model = Recorder()
        model.seen = []
        model.compile(run_eagerly=True)
        batches = part.batches(16, seed=1, first_epoch=first_epoch, augment=Augment(shift=1))
        model.fit(batches, initial_epoch=first_epoch, epochs=3, shuffle=False, verbose=0)
        return model.seen

    part = load_data(folder).train
    whole, resumed = fit(0), fit(1)
    assert len(whole) == 3 * 4
    assert len(resumed) == 2 * 4
    for (x, y), (x2, y2) in zip(whole[4:], resumed, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(y, y2)
    assert not np.array_equal(whole[0][0], whole[4][0])
    labels = np.concatenate([y for _, y in whole[:4]])
    assert sorted(labels) == sorted(part.labels)


def test_images_are_read_when_they_are_needed(own_folder):
    part = load_data(own_folder).train
    before = everything(part)
    save(type(own_folder)(files(part)[0]), np.full((8, 8), 255, "uint8"))
    type(own_folder)(files(part)[-1]).unlink()
    batches = iter(part.batches(8))
    first = next(batches)[0]
    assert (first[0] == 1).all()
    np.testing.assert_array_equal(first[1:], before[1:8])
    with pytest.raises(FileNotFoundError):
        list(batches)


def test_a_model_learns_from_a_folder(folder):
    data = load_data(folder, validation_fraction=0.2)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Input(data.input_shape), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"])
    model.fit(
        data.train.batches(16, seed=0),
        validation_data=data.validation.batches(16),
        epochs=20,
        shuffle=False,
        verbose=0,
    )
    _, accuracy = model.evaluate(data.test.batches(16), verbose=0)
    assert accuracy >= 0.9
