"""What the tests share: quiet TensorFlow, real data, and a small trained model."""

import contextlib
import dataclasses
import os
import resource
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest


@pytest.fixture(scope="session")
def digits():
    import zoo

    return zoo.load_data("digits")


@pytest.fixture(scope="session")
def data_directory():
    """The folder of real data that ZOO_DATA_DIR names."""
    directory = os.environ.get("ZOO_DATA_DIR")
    if not directory or not Path(directory).is_dir():
        pytest.skip("ZOO_DATA_DIR names no folder of real data")
    return Path(directory)


class Forbidden:
    """A part that nobody may look at."""

    def __getattribute__(self, name):
        raise AssertionError(f"the search looked at the test part: {name}")


@pytest.fixture(scope="session")
def small(digits):
    """A quarter of the digits, without a test part."""
    import numpy as np

    return dataclasses.replace(digits, train=digits.train.subset(np.arange(320)), test=Forbidden())


@pytest.fixture
def no_room():
    """Lets no file grow beyond 16 kB meanwhile: a model's does not fit, the records do."""

    @contextlib.contextmanager
    def limited():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16384, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def small_run(digits):
    """Trains a model of one's own on the digits."""
    import zoo

    def run(model, directory, **options):
        return zoo.train(
            model,
            digits,
            directory=directory,
            **{"task": "classification", "verbose": 0, **options},
        )

    return run
