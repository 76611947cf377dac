"""The examples run to their end, as processes of their own, on data that are small."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(directory, name, *arguments, **environment):
    """Run an example in a folder; give what it printed, with nothing of TensorFlow's."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        cwd=directory,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("TF_CPP")},
            **environment,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "cuInit" not in done.stderr
    return done.stdout


def digits(side, count):
    """Digits as uint8 images of a multiple of 8 pixels a side, with a margin up to `side`."""
    images, labels = load_digits(return_X_y=True)
    scale = side // 8
    images = np.kron(images[:count].reshape(-1, 8, 8), np.ones((scale, scale))) * 15.9
    before, after = (side - 8 * scale) // 2, (side - 8 * scale + 1) // 2
    padded = np.pad(images, ((0, 0), (before, after), (before, after)))
    return padded.astype("uint8"), labels[:count]


def pictures(directory):
    return {path.name for path in directory.rglob("*.png")}


def test_fashion_mnist(tmp_path):
    x, y = digits(28, 400)
    parts = {"x_train": x[:300], "y_train": y[:300], "x_test": x[300:], "y_test": y[300:]}
    np.savez(tmp_path / "fashion_mnist.npz", **parts)
    run(tmp_path, "fashion_mnist.py", "--epochs", 1, ZOO_DATA_DIR=str(tmp_path))
    result = json.loads((tmp_path / "out/fashion_mnist/result.json").read_text())
    assert result["precision"] in {"float32", "mixed_bfloat16"}
    assert result["parameters"] == 437_034
    assert 0 <= result["test_accuracy"] <= 1
    assert pictures(tmp_path) == {"learning_curves.png", "confusion_matrix.png"}


def test_faces(tmp_path):
    x, y = digits(24, 200)
    np.savez(tmp_path / "faces.npz", x=x, y=y)
    printed = run(tmp_path, "faces.py", "--data", "faces.npz", "--epochs", 1)
    assert all(net in printed for net in ("default", "local", "low_rank"))
    assert "filters.png" in pictures(tmp_path)


def test_omniglot(tmp_path):
    x, y = digits(24, 300)
    turned = np.concatenate([np.rot90(x, turns, axes=(1, 2)) for turns in range(3)])
    names = {"alphabet": np.repeat(["one", "two", "three"], len(y)), "character": np.tile(y, 3)}
    names["character"] = np.char.add("character", names["character"].astype(str))
    np.savez(tmp_path / "characters.npz", images=turned > 127, **names)
    printed = run(tmp_path, "omniglot.py", "--data", "characters.npz", "--epochs", 1)
    assert "within the threshold" in printed
    assert (tmp_path / "out/omniglot/served/1/saved_model.pb").is_file()
    assert "learning_curves.png" in pictures(tmp_path)


def test_denoising(tmp_path):
    printed = run(tmp_path, "autoencoders.py", "denoise", "--epochs", 1)
    assert "rebuilt" in printed
    assert "reconstructions.png" in pictures(tmp_path)
