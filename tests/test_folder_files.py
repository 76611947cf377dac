"""Which files of a folder are taken, in which order, and what tells folders apart."""

import os
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image

from zoo.data import load_data


@pytest.fixture
def own_folder(tmp_path):
    for index in range(90):
        path = tmp_path / "own" / f"class{index % 3}" / f"{index:03}.png"
        save(path, np.full((8, 8), index, "uint8"))
    return tmp_path / "own"


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def files(part):
    return part._source.files[part.rows].tolist()


def test_what_is_no_picture_is_passed_over_and_counted(own_folder, tmp_path):
    whole = [files(part) for part in (load_data(own_folder).train, load_data(own_folder).test)]
    outside = tmp_path / "outside.png"
    save(outside, np.zeros((8, 8), "uint8"))
    (own_folder / "class0" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0" * 99)
    (own_folder / "class1" / "notes.txt").write_text("taken in May")
    (own_folder / "class1" / "labels").write_text("")
    (own_folder / "class2" / "link.png").symlink_to(outside)
    (own_folder / "class2" / "endless.png").symlink_to("/dev/zero")
    os.mkfifo(own_folder / "class2" / "pipe.png")
    save(own_folder / "stray.png", np.zeros((8, 8), "uint8"))
    (own_folder / "class3").symlink_to("/nowhere")
    with pytest.warns(UserWarning, match=r"Passed over: 8 files \(.*, \.\.\.\)") as caught:
        data = load_data(own_folder)
    assert [warning.filename for warning in caught] == [__file__]
    assert [files(data.train), files(data.test)] == whole


def test_pictures_are_known_by_content_and_links_inside_are_followed(own_folder, tmp_path):
    first = own_folder / "class0" / "000.png"
    first.rename(own_folder / "class0" / "000.json")
    (own_folder / "class0" / "000").symlink_to("000.json")
    (tmp_path / "named").symlink_to(own_folder)
    data = load_data(tmp_path / "named")
    assert sum(map(len, (data.train, data.validation, data.test))) == 91
    (own_folder / "class9").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=r"class9 is a link that leads out of"):
        load_data(own_folder)


def test_classes_and_files_are_in_natural_order(tmp_path):
    for name in ("10", "2", "1", "1b"):
        for number in (10, 9, 100):
            save(tmp_path / name / f"{number}.png", np.zeros((8, 8), "uint8"))
    data = load_data(tmp_path, validation_fraction=0, test_fraction=0.34)
    assert data.class_names == ("1", "1b", "2", "10")
    source = data.train._source
    assert [os.path.basename(file) for file in source.files[:3]] == ["9.png", "10.png", "100.png"]


def test_size_is_taken_upright_and_large_pictures_are_corrupt(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    for label in "ab":
        for copy in range(4):
            save(tmp_path / label / f"{copy}.jpg", np.zeros((40, 60), "uint8"), exif=exif)
    options = {"test_fraction": 0.25, "validation_fraction": 0.25}
    assert load_data(tmp_path, **options).input_shape == (60, 40, 1)
    save(tmp_path / "a" / "large.png", np.zeros((50, 50), "uint8"))
    with pytest.raises(ValueError, match=r"1 of 9 files.*\n.*declares \(50, 50\) pixels"):
        load_data(tmp_path, image_size=(8, 8), max_pixels=2400, **options)
    with warnings.catch_warnings(action="ignore"):
        data = load_data(
            tmp_path, on_corrupt="skip", max_pixels=2400, background="black", **options
        )
    assert (data.preparation.max_pixels, data.preparation.background) == (2400, "black")


def test_a_fingerprint_covers_names_sizes_times_and_ends(own_folder, tmp_path):
    def fingerprint(folder):
        return load_data(folder).train.fingerprint()

    before = fingerprint(own_folder)
    copy = shutil.copytree(own_folder, tmp_path / "copy")
    assert fingerprint(copy) == before
    path = type(own_folder)(files(load_data(own_folder).test)[0])
    found = os.stat(path)
    os.utime(path, ns=(1, 1))
    assert fingerprint(own_folder) != before
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # of the checksum at the end, which nobody reads
    path.write_bytes(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert fingerprint(own_folder) != before
