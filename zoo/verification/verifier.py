"""A trained model that compares, in use: calibrated, enrolled, asked, saved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo import arguments as check
from zoo.data import Part
from zoo.files import new_directory
from zoo.metrics import OperatingPoint
from zoo.verification.gallery import Gallery, checked_labels
from zoo.verification.judging import Judged, checked_target, judge
from zoo.verification.parts import embeddings_of, sides

MODEL, GALLERY = "model.keras", "gallery.npz"


class Verifier:
    """Say whether two images show the same, and find the nearest among known ones.

    A pair counts as the same where its distance is at most the threshold, which `calibrate` sets by
    labelled images that the model was not trained with, and which is saved and exported with the
    model. New classes are enrolled by their images; nothing is trained. A model that is trained
    further needs both anew.

    Args:
        model: What `zoo.siamese` or `zoo.embedding` gives, trained, or a registered model for
            verification; or a trained model from an image to features, such as
            `zoo.features(classifier, "dense1")`, whose features are then brought to length 1.

    Attributes:
        model: The model; the one that `zoo.embedding` makes of features.

    Raises:
        ValueError: If the model is something else, or has weights that are NaN or infinite.

    Example:
        >>> import zoo
        >>> data = zoo.load_data("digits", split_by="classes")
        >>> model = zoo.embedding(zoo.mlp((8, 8, 1), 0, hidden_units=(32,)))
        >>> model.compile("adam", zoo.losses.Triplet())
        >>> _ = model.fit(zoo.data.ClassBatches(data.train, classes=5), verbose=0)
        >>> verifier = Verifier(model)
        >>> images, labels = data.test.examples(np.arange(40)), data.test.labels[:40]
        >>> verifier.calibrate(images, labels, target_far=0.1).far <= 0.1
        True
        >>> verifier.same(images[:2], images[:2]).tolist()
        [True, True]
        >>> verifier.enrol(images[:20], labels[:20])
        >>> found, distances = verifier.search(images[20:22], k=3)
        >>> found.shape, distances.shape
        ((2, 3), (2, 3))
    """

    def __init__(self, model: keras.Model) -> None:
        self._parts = sides(model)
        if bad := check.broken_weights(model.weights):
            raise ValueError(
                f"{len(bad)} weights of {model.name!r} hold NaN or infinite values, such as "
                f"{bad[0]}: the training failed. Train the model with a lower learning rate."
            )
        self._gallery = Gallery(self._parts)
        self.model = self._parts.model

    @property
    def threshold(self) -> float | None:
        """The largest distance that counts as the same; `None` before calibration."""
        return self._parts.judging.threshold

    def calibrate(
        self, images: Any, labels: Any, *, target_far: float | str = "eer"
    ) -> OperatingPoint:
        """Set the threshold, and give it with the rates that it has among the images.

        Args:
            images: (images, height, width, channels), floats in [0, 1] or uint8; of classes that
                the model was not trained with, for otherwise it is too strict.
            labels: What each shows, (images,): integers or strings.
            target_far: The largest share of different pairs that may count as the same, in [0, 1);
                or "eer", where that share is that of same pairs that do not.

        Raises:
            ValueError: If images or labels are malformed, or give no same or no different pairs,
                or `target_far` is illegal, or an embedding is not finite.
        """
        target_far = checked_target(target_far)
        judged, _, _ = self._judged(images, labels)
        point = judged.point(target_far)
        self._parts.judging.threshold = point.threshold
        return point

    def embed(self, images: Any) -> np.ndarray:
        """Embed images, by the left side if the two differ: give float32 (images, embedding_dim).

        Args:
            images: As `calibrate` takes them; any number.

        Raises:
            ValueError: If the images are malformed, or an embedding is not finite.
        """
        return embeddings_of(self._parts.left, self._checked(images))

    def distance(self, left: Any, right: Any) -> np.ndarray:
        """Measure how far the images of each pair are from each other.

        Args:
            left: As `calibrate` takes images.
            right: As many images.

        Returns:
            float32 (pairs,); of a logistic head, the probability of being different.

        Raises:
            ValueError: If images are malformed or unequal in number, or an embedding not finite.
        """
        left, right = self._checked(left, "left"), self._checked(right, "right")
        if len(left) != len(right):
            raise ValueError(
                f"`left` and `right` must be as many images, received {len(left)} and {len(right)}."
            )
        rows = np.arange(len(left))
        embeddings = embeddings_of(self._parts.left, left), embeddings_of(self._parts.right, right)
        return self._parts.distances(*embeddings, rows, rows)

    def same(self, left: Any, right: Any) -> np.ndarray:
        """Say of each pair whether both images show the same: give booleans, (pairs,).

        Args:
            left, right: As `distance` takes them.

        Raises:
            ValueError: As `distance` does, or before calibration.
        """
        if self.threshold is None:
            raise ValueError(
                "There is no threshold yet: call verifier.calibrate(images, labels) with images of "
                "classes that the model was not trained with."
            )
        return self.distance(left, right) <= self.threshold

    def enrol(self, images: Any, labels: Any) -> None:
        """Add images to those that are searched.

        Args:
            images, labels: As `calibrate` takes them.

        Raises:
            ValueError: If images or labels are malformed, the labels are of another kind than those
                enrolled, or an embedding is not finite.
        """
        images = self._checked(images)
        found = self._gallery.checked(labels, len(images))
        self._gallery.add(embeddings_of(self._parts.right, images), found)

    def forget(self, label: Any) -> int:
        """Take all enrolled images of a label out, and give their number.

        Args:
            label: An integer or a string.

        Raises:
            ValueError: If it is neither, or of another kind than those enrolled.
        """
        return self._gallery.remove(self._gallery.checked([label], 1))

    def search(self, images: Any, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Find the enrolled images that are nearest to others.

        Args:
            images: As `calibrate` takes them.
            k: Number of enrolled images to find for each.

        Returns:
            Their labels and their distances, (images, k), the nearest first. Compare the distances
            with `threshold`, for there is a nearest one also for who was never enrolled.

        Raises:
            ValueError: If fewer than `k` images are enrolled, or the images are malformed.
        """
        self._gallery.require(k)
        return self._gallery.search(self.embed(images), k)

    def evaluate(self, images: Any, labels: Any) -> dict[str, float]:
        """Judge labelled images by their pairs.

        Args:
            images, labels: As `calibrate` takes them, but others.

        Returns:
            `auc`, the area under the ROC curve; `eer`, the equal error rate; and, with a threshold,
            `far` and `tar`, the shares of different and of same pairs that count as the same.

        Raises:
            ValueError: As `calibrate` does.
        """
        judged, _, _ = self._judged(images, labels)
        return judged.summary(self.threshold)

    def draw(self, images: Any, labels: Any, directory: str | os.PathLike[str]) -> list[Path]:
        """Draw the ROC curve, the distances, the hardest mistakes and the embeddings.

        Args:
            images, labels: As `evaluate` takes them.
            directory: Where to write the pictures; it is made if it is missing.

        Returns:
            The pictures' paths.

        Raises:
            ValueError: As `calibrate` does.
        """
        judged, part, names = self._judged(images, labels)
        Path(directory).mkdir(parents=True, exist_ok=True)
        return judged.draw(part, self.threshold, names, Path(directory))

    def signatures(self) -> dict[str, keras.Model]:
        """Give what `zoo.export_saved_model(verifier.model, path, signatures=...)` serves.

        Returns:
            `embed`, `similarity` and, after calibration, `same`: see `zoo.verification.Sides`.
        """
        return self._parts.signatures()

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the model with its threshold, and what is enrolled, to a new directory.

        Args:
            directory: It appears whole or not at all.

        Raises:
            FileExistsError: If something exists there.
        """
        enrolled = self._gallery
        with new_directory(directory) as draft:
            self.model.save(draft / MODEL)
            np.savez(draft / GALLERY, embeddings=enrolled.embeddings, labels=enrolled.labels)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Verifier:
        """Read a verifier that was saved.

        Args:
            directory: Where `save` wrote it.

        Raises:
            FileNotFoundError: If there is none.
        """
        folder = Path(directory)
        missing = [name for name in (MODEL, GALLERY) if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{str(folder)!r} holds no verifier: {' and '.join(missing)} missing. Give a "
                "directory that verifier.save(...) wrote."
            )
        verifier = cls(keras.saving.load_model(folder / MODEL, compile=False))
        with np.load(folder / GALLERY, allow_pickle=False) as file:
            verifier._gallery.add(file["embeddings"], file["labels"])
        return verifier

    def __repr__(self) -> str:
        threshold = "none" if self.threshold is None else f"{self.threshold:.4g}"
        enrolled = len(self._gallery.labels)
        return f"<Verifier {self.model.name}: threshold {threshold}, {enrolled} enrolled>"

    def _judged(self, images: Any, labels: Any) -> tuple[Judged, Part, Sequence[str]]:
        images = self._checked(images)
        names, numbers = np.unique(checked_labels(labels, len(images)), return_inverse=True)
        part = Part(images, numbers.astype(np.int64))
        judged = judge(self._parts, part)
        judged.require_finite()
        return judged, part, [str(name) for name in names]

    def _checked(self, images: Any, name: str = "images") -> np.ndarray:
        return check.images(name, images, self._parts.left.input_shape[1:])
