"""Builder arguments drawn at random: each draw trains one finite step, or is refused by name."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zoo

odd_values = st.sampled_from([0, -1, 1.5, None, "two", True, (), (0,), float("nan"), [3, -3]])


def mostly(legal):
    """Legal values, and now and then something else."""
    return st.one_of(legal, legal, legal, legal, odd_values)


sides = st.integers(1, 20)
common = {
    "input_shape": mostly(st.tuples(sides, sides, st.integers(1, 3))),
    "num_classes": mostly(st.integers(0, 5)),
    "activation": mostly(st.sampled_from(["relu", "leaky_relu", "tanh", "sigmoid", "gelu"])),
    "batch_norm": mostly(st.booleans()),
    "dropout": mostly(st.floats(0, 0.95)),
    "skip_connections": mostly(st.booleans()),
}
cascade_arguments = {
    **common,
    "filters": mostly(st.lists(st.integers(1, 6), max_size=4).map(tuple)),
    "convs_per_block": mostly(st.integers(1, 2) | st.lists(st.integers(1, 2), max_size=3)),
    "kernel_size": mostly(st.integers(1, 5)),
    "strides": mostly(st.integers(1, 3)),
    "padding": mostly(st.sampled_from(["same", "valid"])),
    "pooling": mostly(st.sampled_from(["max", "average", "stride"])),
    "head": mostly(st.sampled_from(["flatten", "global_average", "global_max"])),
    "dense_units": mostly(st.lists(st.integers(1, 8), max_size=2).map(tuple)),
}
mlp_arguments = {**common, "hidden_units": mostly(st.lists(st.integers(1, 8), max_size=3))}


def builds_and_trains_or_refuses(builder, arguments):
    try:
        model = builder(**arguments)
    except ValueError as error:
        # The message names, in backquotes, an argument that was given.
        named = [name for name in arguments if f"`{name}" in str(error)]
        assert named, f"{error} names none of {list(arguments)}"
        return
    shape = [8 if side is None else side for side in model.input_shape[1:]]
    images = np.random.default_rng(0).random((4, *shape), dtype="float32")
    model.compile("sgd", "mse", run_eagerly=True)
    targets = np.zeros((4, *model.output_shape[1:]), "float32")
    assert np.isfinite(model.train_on_batch(images, targets))


calm = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@calm
@given(st.fixed_dictionaries({}, optional=cascade_arguments))
def test_cascade_cnn(arguments):
    builds_and_trains_or_refuses(zoo.cascade_cnn, arguments)


@calm
@given(st.fixed_dictionaries({}, optional=mlp_arguments))
def test_mlp(arguments):
    builds_and_trains_or_refuses(zoo.mlp, arguments)


def test_an_unknown_argument_is_refused_with_a_suggestion():
    with pytest.raises(ValueError, match="Did you mean 'filters'"):
        zoo.create("cascade_cnn", filter=(8,))
