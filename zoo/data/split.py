"""The split of what a source holds into three parts: by examples, or by classes."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

from zoo.data.columns import listed
from zoo.data.dataset import Dataset, Source
from zoo.data.part import Part
from zoo.data.preparation import preparation_for
from zoo.data.views import joined

_AMOUNTS = "amounts are no classes: as floats they are real numbers"


def split_examples(
    source: Source, validation_fraction: float, test_fraction: float, seed: int
) -> Dataset:
    """Split so that each class has the same share of every part; real numbers at random."""
    names = source.class_names  # none where labels are real numbers
    train, validation, test = source.train, source.validation, source.test
    _require_all_classes("the data", train, names)
    count = len(train)
    if test is None:
        train, test = _split_off("test", train, round(test_fraction * count), names, seed)
    if validation is None and validation_fraction == 0:
        validation = train.subset(np.arange(0))
    elif validation is None:
        share = round(validation_fraction * count)
        train, validation = _split_off("validation", train, share, names, seed)
    return _dataset(source, train, validation, test)


def split_classes(
    source: Source, validation_fraction: float, test_fraction: float, seed: int
) -> Dataset:
    """Split so that no class is in two parts, and each part has two classes at least."""
    train, validation, test = source.train, source.validation, source.test
    if not source.class_names:
        raise ValueError("`split_by`='classes' needs classes, not real numbers or texts.")
    given = [part for part in (train, validation, test) if part is not None]
    everything = joined(given) if len(given) > 1 else train
    _require_all_classes("the data", everything, source.class_names)
    sizes = [len(np.unique(part.labels)) for part in given]
    if sum(sizes) > len(source.class_names):  # a class is in two of them
        train, validation, test = everything, None, None
    elif min(sizes[1:], default=2) < 2:
        raise ValueError(
            f"A part that is set aside has a single class, and each part needs two; received "
            f"{', '.join(map(str, sizes))} classes in the parts. Move classes, or pass all in one."
        )
    # The test part takes its classes first, so that they are the same for any validation part.
    classes = np.random.default_rng(seed).permutation(np.unique(train.labels))
    for_test = 0 if test is not None else _share(test_fraction, len(classes))
    for_validation = 0 if validation is not None else _share(validation_fraction, len(classes))
    if test is None and not for_test:
        raise ValueError("`test_fraction` must be above 0: the source sets no test part aside.")
    _require_two_classes(len(classes), for_test, for_validation)
    for_both = for_test + for_validation
    return _dataset(
        source,
        _of_classes(train, classes[for_both:]),
        _of_classes(train, classes[for_test:for_both]) if validation is None else validation,
        _of_classes(train, classes[:for_test]) if test is None else test,
    )


def _dataset(source: Source, train: Part, validation: Part, test: Part) -> Dataset:
    """Put parts together; what the preparation learns, it learns from the training part."""
    preparation = (source.preparation or preparation_for(train.input_shape)).fitted(train)
    for part in (validation, test):
        preparation.check(part)
    return Dataset(
        source.name, train, validation, test, source.class_names, preparation, source.target_names
    )


def _share(fraction: float, classes: int) -> int:
    return max(round(fraction * classes), 2) if fraction else 0


def _of_classes(part: Part, classes: np.ndarray) -> Part:
    return part.subset(np.flatnonzero(np.isin(part.labels, classes)))


def _require_two_classes(classes: int, for_test: int, for_validation: int) -> None:
    needed = 2 * (1 + (for_test > 0) + (for_validation > 0))
    if classes < needed:
        raise ValueError(
            f"A split by classes puts two classes into each part at least, and needs {needed} "
            f"here; received {classes}. Add classes, or split by examples."
        )
    rest = classes - for_test - for_validation
    if rest < 2:
        raise ValueError(
            f"`test_fraction` and `validation_fraction` would put {for_test} and {for_validation} "
            f"of {classes} classes into their parts and leave {rest}; two at least must be left to "
            "train with. Lower the fractions."
        )


def _split_off(
    name: str, part: Part, count: int, class_names: tuple[str, ...], seed: int
) -> tuple[Part, Part]:
    """Give the rest, and a stratified part of `count` examples."""
    rest = len(part) - count
    if min(count, rest) < max(len(class_names), 1):
        needs, hint = "an example", ""
        if class_names:
            needs, hint = f"an example of all {len(class_names)} classes", f" ({_AMOUNTS})"
        raise ValueError(
            f"`{name}_fraction` would put {count} examples into the {name} part and leave {rest} "
            f"of {len(part)}; each must hold {needs}. Change the fractions, or add examples{hint}."
        )
    classes = part.labels if class_names else None
    if classes is not None and (sizes := np.bincount(classes)).min() < 2:
        raise ValueError(
            f"{_listed(class_names, sizes < 2)} has a single example left for two parts, "
            f"{name} and training. Add examples, or leave the class out ({_AMOUNTS})."
        )
    kept, taken = train_test_split(
        np.arange(len(part)), test_size=count, stratify=classes, random_state=seed
    )
    parts = part.subset(np.sort(kept)), part.subset(np.sort(taken))
    for piece, where in zip(parts, ("the training part", f"the {name} part"), strict=True):
        _require_all_classes(where, piece, class_names)
    return parts


def _require_all_classes(where: str, part: Part, class_names: tuple[str, ...]) -> None:
    if not class_names:
        return
    missing = np.bincount(part.labels, minlength=len(class_names)) == 0
    if missing.any():
        raise ValueError(
            f"{_listed(class_names, missing)} has no example in {where} of {len(part)} examples, "
            "and needs one there: add examples, change the fractions, or leave the class out."
        )


def _listed(class_names: tuple[str, ...], chosen: np.ndarray) -> str:
    return f"Class {listed([class_names[index] for index in np.flatnonzero(chosen)])}"
