"""Texts: files, folders, lists, columns of a table; their labels, targets and batches."""

import json
import os

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import zoo
from zoo.data import Part, TextPreparation, feed
from zoo.data.preparation import preparation_from_config

WORDS = [f"Satz {index} über Züge." for index in range(30)]


def everything(data):
    """All examples and labels, by their row."""
    parts = (data.train, data.validation, data.test)
    return {
        row: (text, label)
        for part in parts
        for row, text, label in zip(part.rows, part.examples(), part.labels, strict=True)
    }


def test_a_list_with_labels():
    data = zoo.load_data((WORDS, ["good", "bad", "so so"] * 10))
    assert repr(data) == ("<Dataset arrays: 21 train, 3 validation, 6 test texts, 3 classes>")
    assert data.class_names == ("bad", "good", "so so")
    found = everything(data)
    assert [found[row][0] for row in range(30)] == WORDS
    assert [data.class_names[found[row][1]] for row in range(3)] == ["good", "bad", "so so"]
    config = json.loads(json.dumps(data.description()))["preparation"]
    assert preparation_from_config(config) == data.preparation == TextPreparation()


@pytest.mark.parametrize("source", [WORDS, (WORDS, None), (np.array(WORDS), None)])
def test_texts_without_labels(source):
    data = zoo.load_data(source)
    assert [everything(data)[row] for row in range(30)] == [(text, 0) for text in WORDS]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("\n\n".join(WORDS), WORDS),
        ("\r\n \r\n\r\n".join(WORDS) + "\r\n", WORDS),
        ("\n".join(WORDS) + "\n", WORDS),
        ("\n".join(f"{text}\u2028\f." for text in WORDS), [f"{t}\u2028\f." for t in WORDS]),
        ("\n\n".join(text + "\n" + text for text in WORDS), [f"{t}\n{t}" for t in WORDS]),
    ],
    ids=["paragraphs", "Windows", "lines", "odd separators", "paragraphs of two lines"],
)
def test_a_file_holds_a_text_a_paragraph_or_a_line(tmp_path, content, texts):
    file = tmp_path / "trains.txt"
    file.write_bytes(b"\xef\xbb\xbf" + content.encode())  # with a mark that Windows writes
    data = zoo.load_data(file)
    assert data.name == "trains"
    assert [everything(data)[row][0] for row in range(30)] == texts
    assert data.preparation(str(file)).tolist() == data.preparation(file).tolist() == texts


def write(folder, texts):
    folder.mkdir(parents=True)
    for index, text in enumerate(texts):
        (folder / f"{index:02}.txt").write_text(text, "utf-8")


def test_a_flat_folder_holds_a_text_a_file(tmp_path):
    write(tmp_path / "news", [f"{text}\n\nEnde." for text in WORDS])
    found = everything(zoo.load_data(str(tmp_path / "news")))
    assert found[7] == ("Satz 7 über Züge.\n\nEnde.", 0)


def test_folders_are_classes_in_natural_order(tmp_path):
    for name in ("10", "2", "1"):
        write(tmp_path / "stars" / name, [f"{name} {text}" for text in WORDS[:10]])
    (tmp_path / "stars" / "2" / "note.md").write_text("none")
    (tmp_path / "stars" / "stray.txt").write_text("none")
    (tmp_path / "stars" / "1" / "in").mkdir()
    with pytest.warns(UserWarning, match=r"Passed over: 3 files .*stray") as caught:
        data = zoo.load_data(tmp_path / "stars")
    assert [warning.filename for warning in caught] == [__file__]
    assert data.class_names == ("1", "2", "10")
    found = everything(data).values()
    assert len(found) == 30
    assert all(text.split()[0] == data.class_names[label] for text, label in found)


def test_a_class_that_leads_out_of_the_folder_is_refused(tmp_path):
    write(tmp_path / "elsewhere", WORDS)
    write(tmp_path / "texts" / "a", WORDS)
    (tmp_path / "texts" / "b").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is a link that leads out"):
        zoo.load_data(tmp_path / "texts")


def test_folders_can_set_the_test_part_aside(tmp_path):
    for part, texts in (("train", WORDS[:20]), ("test", WORDS[20:])):
        write(tmp_path / part / "a", texts[::2])
        write(tmp_path / part / "b", texts[1::2])
    data = zoo.load_data(tmp_path, validation_fraction=0.2)
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 4, 10)
    assert sorted(data.test.examples()) == sorted(WORDS[20:])


@pytest.mark.filterwarnings("ignore:.*passed over")
def test_options_of_images_are_refused(tmp_path):
    write(tmp_path / "texts", WORDS)
    with pytest.raises(ValueError, match=r"for folders of images.*received image_size=\(8, 8\)"):
        zoo.load_data(tmp_path / "texts", image_size=(8, 8))
    with pytest.raises(ValueError, match="not real numbers or texts"):
        zoo.load_data((WORDS, WORDS[::-1]), split_by="classes")


def test_a_folder_of_images_with_a_note_stays_one_of_images(tmp_path):
    from PIL import Image

    for name in "ab":
        (tmp_path / name).mkdir()
        for index in range(10):
            Image.new("L", (4, 4), index).save(tmp_path / name / f"{index}.png")
    data = zoo.load_data(tmp_path)
    assert data.preparation.kind == "images"
    (tmp_path / "README.txt").write_text("Photos.")
    with pytest.warns(UserWarning, match=r"Passed over: 1 files .*README"):
        assert zoo.load_data(tmp_path).preparation.kind == "images"
    (tmp_path / "README.txt").unlink()
    for file in tmp_path.rglob("*.png"):
        file.rename(file.with_suffix(""))
    assert zoo.load_data(tmp_path).preparation.kind == "images"


@pytest.mark.parametrize("form", ["lists", "arrays", "frame", "csv"])
def test_targets_can_be_texts(tmp_path, form):
    answers = [text.upper() for text in WORDS]
    frame = pd.DataFrame({"question": WORDS, "answer": answers})
    frame.to_csv(tmp_path / "pairs.csv", index=False)
    data = {
        "lists": lambda: zoo.load_data((WORDS, answers)),
        "arrays": lambda: zoo.load_data((np.array(WORDS), np.array(answers))),
        "frame": lambda: zoo.load_data(frame, target="answer", kind="texts"),
        "csv": lambda: zoo.load_data(tmp_path / "pairs.csv", target="answer", kind="texts"),
    }[form]()
    assert data.class_names == ()
    assert not data.is_regression
    assert str(data).endswith("21 train, 3 validation, 6 test texts, texts as targets")
    assert data.train.labels.dtype == object
    assert [everything(data)[row] for row in range(30)] == list(zip(WORDS, answers, strict=True))


def test_a_column_of_a_table_with_other_targets():
    frame = pd.DataFrame({"text": WORDS, "sense": [-1, 5, 9] * 10, "price": np.arange(30) / 7})
    data = zoo.load_data(frame.drop(columns="price"), target="sense", kind="texts")
    assert data.class_names == ("-1", "5", "9")
    assert zoo.load_data(frame[["text", "price"]], target="price", kind="texts").is_regression
    with pytest.raises(ValueError, match=r"one column .* there are 2, text, sense"):
        zoo.load_data(frame, target="price", kind="texts")


def test_a_network_of_ones_own_trains_and_predicts(tmp_path):
    data = zoo.load_data(
        (
            [f"{'ja' if index % 2 else 'nein'} {index}" for index in range(60)],
            [index % 2 for index in range(60)],
        )
    )
    words = keras.layers.TextVectorization(50, output_sequence_length=3)
    words.adapt(data.train.examples().tolist())
    inner = [keras.layers.Embedding(50, 4), keras.layers.GlobalAveragePooling1D()]
    layers = [keras.Input((), dtype="string"), words, *inner, keras.layers.Dense(2, "softmax")]
    values = {"epochs": 15, "batch_size": 8, "learning_rate": 0.05, "verbose": 0}
    run = zoo.train(
        keras.Sequential(layers), data, task="classification", directory=tmp_path / "r", **values
    )
    assert run.predict(["ja 70", "nein 71"])["class"].tolist() == ["1", "0"]


@pytest.mark.parametrize("labels", [np.arange(30) % 2, [text.upper() for text in WORDS]])
def test_batches_reach_fit_as_strings(labels):
    data = zoo.load_data((WORDS, labels))
    batches = data.train.batches(8, seed=3)
    fed = [(texts.numpy(), values.numpy()) for texts, values in feed(data.train.batches(8, seed=3))]
    assert [len(texts) for texts, _ in fed] == [8, 8, 5]
    known = everything(data).values()
    for (texts, values), (raw, raw_values) in zip(fed, batches, strict=True):
        assert raw.dtype == object
        assert [text.decode() for text in texts] == raw.tolist()
        plain = [value.decode() if isinstance(value, bytes) else value for value in values]
        assert plain == raw_values.tolist()
        assert set(zip(raw, raw_values, strict=True)) <= set(known)


def test_fingerprints_cover_texts_and_their_targets():
    def fingerprint(texts, targets):
        return Part(np.array(texts, object), np.array(targets, object)).fingerprint()

    same = fingerprint(["a", "b"], ["c", "d"])
    assert same == fingerprint(["a", "b"], ["c", "d"])
    others = [(["a", "b"], ["c", "e"]), (["a", "b"], ["cd", ""]), (["a", "x"], ["c", "d"])]
    assert same not in {fingerprint(*pair) for pair in others}
    assert fingerprint(["a\0b", "c"], [0, 1]) != fingerprint(["a", "b\0c"], [0, 1])


def test_preparing_texts(tmp_path):
    prepare = TextPreparation()
    (tmp_path / "one.txt").write_text("erste\n\nzweite")
    assert prepare("Wie geht's?").tolist() == ["Wie geht's?"]
    assert prepare(["a", str(tmp_path / "one.txt")]).tolist() == ["a", "erste\n\nzweite"]
    assert prepare("See the file one.txt").tolist() == ["See the file one.txt"]
    assert prepare.names(["kurz", "lang " * 30]) == [
        "kurz",
        "lang lang lang lang lang lang lang...",
    ]


def test_texts_are_prepared_from_all_that_they_can_be_loaded_from(tmp_path, monkeypatch):
    frame = pd.DataFrame({"text": WORDS, "label": ["pos", "neg"] * 15})
    frame.to_csv(tmp_path / "reviews.csv", index=False)
    frame[["text"]].to_csv(tmp_path / "new.csv", index=False)
    write(tmp_path / "folder", WORDS[:3])
    write(tmp_path / "classes" / "a", WORDS[:3])
    prepare = zoo.load_data(tmp_path / "reviews.csv", target="label", kind="texts").preparation
    for x in (frame, frame[["text"]], tmp_path / "reviews.csv", str(tmp_path / "new.csv")):
        assert prepare(x).tolist() == WORDS
    for x in (tmp_path / "folder", tmp_path / "classes", str(tmp_path / "folder")):
        assert sorted(prepare(x)) == sorted(WORDS[:3])
    with pytest.raises(ValueError, match="is no file"):
        prepare("absent.csv")
    with pytest.raises(ValueError, match="no file of a text"):
        prepare([tmp_path / "new.csv"])


def test_only_in_lists_a_text_can_be_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.txt").write_text("another text")
    cells = ["secret.txt", *WORDS]
    labels = ["a", *["a", "b"] * 15]
    (tmp_path / "lines.txt").write_text("\n".join(cells))
    pd.DataFrame({"text": cells, "label": labels}).to_csv("cells.csv", index=False)
    batches = tf.data.Dataset.from_tensor_slices((cells, labels)).batch(8)
    told = {"kind": "texts", "target": "label"}
    for data in (
        zoo.load_data("cells.csv", **told),
        zoo.load_data("lines.txt"),
        zoo.load_data(batches),
        zoo.load_data((np.array(cells, object), labels)),
    ):
        assert everything(data)[0][0] == "secret.txt"
    assert everything(zoo.load_data((cells, labels)))[0][0] == "another text"


BAD = {
    "number": ((["a", 3, "b"], [0, 1, 0]), "Text 1 of the data must be str.*: 3"),
    "missing": ((["a", None, "b"], [0, 1, 0]), "Text 1 .*: None"),
    "blank": ((["a", " \n", "b"], [0, 1, 0]), "Text 1 .* not blank"),
    "bytes": (([b"a", b"b", b"a"], [0, 1, 0]), "Text 0 .*: b'a'"),
    "labels": ((WORDS, [0, 1]), "30 examples and 2 labels"),
    "file": ("absent.txt", "'absent.txt' is no file"),
    "files": ((["absent.txt", "b", "c"], [0, 1, 0]), "'absent.txt' is no file"),
}


@pytest.mark.parametrize(("source", "message"), BAD.values(), ids=BAD)
def test_bad_texts_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        zoo.load_data(source, kind="texts")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Züge".encode("latin-1"), "as a text in UTF-8.*0xfc"),
        ("Züge".encode("utf-16"), "as a text in UTF-8"),
        ("Zug".encode("utf-16-le"), "no text in UTF-8"),
        (b" \n\n", "blank"),
    ],
    ids=["latin-1", "utf-16", "utf-16 without mark", "blank"],
)
def test_a_file_that_is_no_text_is_refused_by_name(tmp_path, content, message):
    write(tmp_path / "a", WORDS)
    (tmp_path / "a" / "odd.txt").write_bytes(content)
    with pytest.raises(ValueError, match=rf"odd\.txt .*{message}"):
        zoo.load_data(tmp_path / "a")


def test_paths_of_images_are_no_texts():
    with pytest.raises(ValueError, match=r"images of the data must be"):
        zoo.load_data((["a.png", "b.png", "c.JPG"], [0, 1, 0]))


def test_folders_without_texts_are_refused(tmp_path):
    write(tmp_path / "a", WORDS)
    write(tmp_path / "texts" / "a", WORDS)
    (tmp_path / "texts" / "b").mkdir()
    (tmp_path / "texts" / "b" / "1.txt").symlink_to(tmp_path / "a" / "00.txt")
    os.mkfifo(tmp_path / "texts" / "b" / "2.txt")
    with pytest.raises(ValueError, match=r"b holds no \.txt file"):
        zoo.load_data(tmp_path / "texts", kind="texts")
