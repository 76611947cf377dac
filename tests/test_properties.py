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
every = {
    "input_shape": mostly(st.tuples(sides, sides, st.integers(1, 3))),
    "num_classes": mostly(st.integers(0, 5)),
    "activation": mostly(st.sampled_from(["relu", "leaky_relu", "tanh", "sigmoid", "gelu"])),
    "dropout": mostly(st.floats(0, 0.95)),
}
common = {
    **every,
    "batch_norm": mostly(st.booleans()),
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
face_cnn_arguments = {
    **every,
    "batch_norm": mostly(st.booleans()),
    "num_shared_blocks": mostly(st.integers(0, 3)),
    "num_local_blocks": mostly(st.integers(0, 2)),
    "first_filters": mostly(st.integers(1, 6)),
    "local_filters": mostly(st.integers(1, 6)),
    "sharing": mostly(st.sampled_from(["local", "low_rank", "shared"])),
    "rank": mostly(st.integers(1, 5)),
    "embedding_dim": mostly(st.integers(1, 8)),
}
face_sides = st.integers(28, 50)
deepid_arguments = {
    **every,
    "input_shape": mostly(st.tuples(face_sides, face_sides, st.integers(1, 3))),
    "filters": mostly(st.tuples(*[st.integers(1, 4)] * 4)),
    "region": mostly(st.none() | st.integers(1, 7)),
    "embedding_dim": mostly(st.integers(1, 8)),
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
@given(st.fixed_dictionaries({}, optional=face_cnn_arguments))
def test_face_cnn(arguments):
    builds_and_trains_or_refuses(zoo.face_cnn, arguments)


@calm
@given(st.fixed_dictionaries({}, optional=deepid_arguments))
def test_deepid(arguments):
    builds_and_trains_or_refuses(zoo.deepid, arguments)


@calm
@given(st.fixed_dictionaries({}, optional=mlp_arguments))
def test_mlp(arguments):
    builds_and_trains_or_refuses(zoo.mlp, arguments)


def test_an_unknown_argument_is_refused_with_a_suggestion():
    with pytest.raises(ValueError, match="Did you mean 'filters'"):
        zoo.create("cascade_cnn", filter=(8,))
