"""Every picture: a figure to go on with where no path is given, else a file."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import zoo.plots
from zoo.codec import Point

SAME, DISTANCES = np.array([1, 1, 0, 0]), np.array([0.1, 0.4, 0.3, 0.9])
PICTURES = {
    "confusion_matrix": (np.array([0, 1]), np.array([0, 0]), ["no", "yes"]),
    "distance_histogram": (SAME, DISTANCES),
    "image_pairs": ({"mistakes": (np.zeros((2, 8, 8, 1)), np.ones((2, 8, 8, 1)), [0.9, 0.8])},),
    "image_rows": ({"image": np.zeros((3, 8, 8, 1))},),
    "latent_scatter": (np.eye(4), np.array([0, 0, 1, 1]), ["no", "yes"]),
    "learning_curves": ({"loss": [1.0, 0.5], "val_loss": [0.9, 0.6]},),
    "rate_distortion": ({"WebP": [Point(0.5, 20.0), Point(1.0, 24.0)]},),
    "roc_curve": (SAME, DISTANCES),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_a_figure_or_a_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw = getattr(zoo.plots, name)
    figure = draw(*PICTURES[name])
    assert isinstance(figure, Figure)
    assert list(tmp_path.iterdir()) == []
    figure.savefig(tmp_path / "figure.png", dpi=120)
    assert draw(*PICTURES[name], tmp_path / "file.png") == tmp_path / "file.png"
    drawn = [(tmp_path / file).read_bytes() for file in ("figure.png", "file.png")]
    assert drawn[0] == drawn[1]
