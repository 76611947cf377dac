"""Search spaces: what the rows draw, what a caller can change, and that every draw builds."""

import inspect
import itertools

import keras
import keras_tuner
import pytest

import tuning
import zoo
from tuning.families import FAMILIES, MAX_PARAMETERS, family_of
from tuning.spaces import TRAINING, space, training_values
from zoo.registry import entry
from zoo.space import Choice, Float, Int, default_values, override, plain_values, start_at
from zoo.training.recipe import Recipe


def draws(rows, count, seed=1):
    """Draw values as Keras Tuner's random search does."""
    model = tuning.ZooHyperModel("mlp", rows, {}, recipe=Recipe(precision="float32"))
    oracle = keras_tuner.oracles.RandomSearchOracle(objective="val_loss", seed=seed)
    hp = keras_tuner.HyperParameters()
    model.declare_hyperparameters(hp)
    oracle.update_space(hp)
    return [plain_values(rows, oracle._random_values()) for _ in range(count)]


SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3)]


@pytest.mark.parametrize(
    ("name", "input_shape"),
    [
        *itertools.product(["cascade_cnn", "face_cnn", "mlp"], SHAPES),
        ("deepid", (32, 32, 3)),
        ("deepface_tiny", (72, 72, 3)),
        ("recurrent_classifier", (None, 96)),
    ],
    ids=str,
)
def test_every_draw_builds_below_the_parameter_cap(name, input_shape):
    rows = space(name, input_shape)
    family = family_of(name)
    for values in draws(rows, 200)[:: 3 if name == "cascade_cnn" else 10]:
        arguments = family.arguments({key: values[key] for key in family.rows if key in values})
        model = zoo.create(name, input_shape=input_shape, num_classes=10, **arguments)
        assert model.count_params() <= MAX_PARAMETERS
        assert model.output_shape == (None, 10)


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("pooling", ["max", "stride"])
def test_the_largest_models_are_below_the_parameter_cap(depth, pooling):
    assert depth in space("cascade_cnn", (32, 32, 3))["depth"].options
    cnn = FAMILIES["cascade_cnn"].arguments(
        dict(depth=depth, first_filters=32, convs_per_block=2, kernel_size=5, dense_units=256)
    )
    dense = FAMILIES["mlp"].arguments(dict(depth=depth, first_units=256))
    common = dict(input_shape=(32, 32, 3), num_classes=10, skip_connections=True)
    assert zoo.cascade_cnn(pooling=pooling, **cnn, **common).count_params() <= MAX_PARAMETERS
    assert zoo.mlp(**dense, **common).count_params() <= MAX_PARAMETERS


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
def test_the_largest_recurrent_models_are_below_the_parameter_cap(cell):
    rows = FAMILIES["recurrent_classifier"].rows
    largest = {name: rows[name].high for name in ("units", "num_layers")}
    model = zoo.recurrent_classifier((None, 96), 10, cell=cell, bidirectional=True, **largest)
    assert model.count_params() <= MAX_PARAMETERS


def test_skip_connections_apply_only_where_there_are_layers_to_connect():
    rows = space("recurrent_classifier", (None, 8))
    for values in draws(rows, 50):
        assert ("skip_connections" in values) == (values["num_layers"] > 1)
    assert "skip_connections" in space("recurrent_classifier", (9, 8), fixed={"num_layers": 3})


@pytest.mark.parametrize("sharing", ["local", "low_rank"])
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_largest_face_models_are_below_the_parameter_cap(depth, blocks, sharing):
    assert depth in space("face_cnn", (32, 32, 3))["depth"].options
    arguments = FAMILIES["face_cnn"].arguments(
        dict(depth=depth, first_filters=32, num_local_blocks=blocks, local_filters=64, rank=8)
    )
    model = zoo.face_cnn((32, 32, 3), 10, sharing=sharing, embedding_dim=128, **arguments)
    assert model.count_params() <= MAX_PARAMETERS


def test_the_ranks_row_applies_only_where_the_sharing_is_low_rank():
    for values in draws(space("face_cnn", (28, 28, 1)), 50):
        assert ("rank" in values) == (values["sharing"] == "low_rank")


@pytest.mark.parametrize("name", ["conv_autoencoder", "dense_autoencoder"])
@pytest.mark.parametrize("input_shape", SHAPES, ids=str)
def test_every_draw_of_an_autoencoder_builds_below_the_parameter_cap(name, input_shape):
    family = family_of(name)
    for values in draws(space(name, input_shape), 100)[::8]:
        arguments = family.arguments({key: values[key] for key in family.rows if key in values})
        model = zoo.create(name, input_shape=input_shape, **arguments)
        assert model.count_params() <= MAX_PARAMETERS
        assert model.output_shape == (None, *input_shape)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_largest_autoencoders_are_below_the_parameter_cap(depth):
    common = dict(input_shape=(32, 32, 3), latent_dim=128, kind="variational")
    assert depth in space("conv_autoencoder", (32, 32, 3))["depth"].options
    values = dict(depth=depth, first_filters=32, convs_per_block=2, kernel_size=5)
    values |= dict(skip_connections=True, pooling="stride")
    cnn = zoo.conv_autoencoder(**FAMILIES["conv_autoencoder"].arguments(values), **common)
    values = dict(depth=min(depth, 3), first_units=256, skip_connections=True)
    dense = zoo.dense_autoencoder(**FAMILIES["dense_autoencoder"].arguments(values), **common)
    assert max(cnn.count_params(), dense.count_params()) <= MAX_PARAMETERS


def test_rows_of_a_kind_apply_only_where_it_is_drawn_or_decided():
    rows_of = {
        "denoising": {"noise", "noise_level"},
        "sparse": {"sparsity", "penalty_weight"},
        "contractive": {"penalty_weight"},
        "variational": {"beta"},
        "plain": set(),
    }
    every = set().union(*rows_of.values())
    for values in draws(space("dense_autoencoder", (8, 8, 1)), 50):
        assert every & set(values) == rows_of[values["kind"]]
    for kind, rows in rows_of.items():
        decided = space("dense_autoencoder", (8, 8, 1), arguments={"kind": kind})
        assert every & set(decided) == rows
    assert every & set(space("variational_autoencoder", (8, 8, 1))) == {"beta"}


def test_draws_reach_every_choice_and_both_ends_of_every_range():
    rows = space("cascade_cnn", (32, 32, 3))
    seen = draws(rows, 400)
    for name, row in rows.items():
        values = [draw[name] for draw in seen if name in draw]
        assert {type(value) for value in values} == {row.kind}
        if row.options:
            assert set(values) == set(row.options)
        elif row.sampling == "linear":
            assert row.low <= min(values) < row.low + (row.high - row.low) / 10
            assert row.high >= max(values) > row.high - (row.high - row.low) / 10


def test_conditional_rows_apply_only_where_the_optimizer_has_them():
    for values in draws(TRAINING, 100):
        assert ("momentum" in values) == (values["optimizer"] in ("sgd", "rmsprop"))
        assert ("weight_decay" in values) == (values["optimizer"] == "adamw")
        training = training_values(values)
        kind = type(Recipe(**training).make_optimizer()).__name__
        assert kind.lower() == values["optimizer"]


def test_every_registered_model_has_a_space():
    for name in zoo.list_models():
        assert family_of(name) is FAMILIES[entry(name).family]


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_defaults_are_the_builders_own(name):
    family = FAMILIES[name]
    parameters = inspect.signature(entry(name).builder).parameters
    for argument, value in family.arguments(default_values(family.rows)).items():
        assert value == parameters[argument].default, argument


def test_rates_are_scaled_by_optimizer_unless_the_caller_gives_them():
    default = {"optimizer": "sgd", "learning_rate": 0.001}
    assert plain_values(TRAINING, default)["learning_rate"] == pytest.approx(0.02)
    assert plain_values(TRAINING, {**default, "optimizer": "adam"})["learning_rate"] == 0.001
    for rows in (
        override(TRAINING, {"learning_rate": 0.5}),
        override(TRAINING, None, {"learning_rate": (0.1, 1.0)}),
        override(TRAINING, None, {"learning_rate": [0.1, 1.0]}),
    ):
        values = plain_values(rows, {"optimizer": "sgd", "learning_rate": 0.5})
        assert values["learning_rate"] == 0.5
    started = start_at(TRAINING, {"optimizer": "sgd", "learning_rate": 0.1})
    values = plain_values(started, default_values(started))
    assert values["learning_rate"] == pytest.approx(0.1)
    assert values["momentum"] == TRAINING["momentum"].default


def test_override_fixes_narrows_and_widens():
    rows = override(
        space("cascade_cnn", (28, 28, 1)),
        {"batch_norm": False, "dropout": 0, "epochs": 7},
        {"learning_rate": (1e-4, 1), "activation": ["gelu", "tanh"], "batch_size": [48, 96]},
    )
    assert rows["batch_norm"].options == (False,)
    assert rows["dropout"].options == (0.0,)
    assert rows["epochs"].options == (7,)
    assert (rows["learning_rate"].low, rows["learning_rate"].high) == (1e-4, 1.0)
    assert rows["activation"].options == ("gelu", "tanh")
    assert rows["batch_size"].options == (48, 96)
    for values in draws(rows, 20):
        assert values["batch_norm"] is False
        assert values["batch_size"] in (48, 96)


def test_conditions_that_are_settled_go():
    assert "momentum" not in override(TRAINING, {"optimizer": "adam"})
    assert override(TRAINING, {"optimizer": "sgd"})["momentum"].when is None
    assert override(TRAINING, None, {"optimizer": ["sgd", "adam"]})["momentum"].when is not None


@pytest.mark.parametrize(
    ("fixed", "ranges", "message"),
    [
        ({"lerning_rate": 0.1}, {}, "Did you mean 'learning_rate'"),
        ({}, {"droput": (0, 1)}, "Did you mean 'dropout'"),
        ({"epochs": 3}, {"epochs": (1, 3)}, "leave one of the two out"),
        ({"epochs": 2.5}, {}, "'epochs' must be an integer, received 2.5"),
        ({"epochs": True}, {}, "'epochs' must be an integer"),
        ({"epochs": 0}, {}, "1 <= low"),
        ({"dropout": "0.5"}, {}, "'dropout' must be a number"),
        ({"dropout": -0.1}, {}, "0 <= low"),
        ({"dropout": float("nan")}, {}, "0 <= low"),
        ({"batch_norm": 1}, {}, "'batch_norm' must be True or False"),
        ({"activation": 3}, {}, "'activation' must be a string"),
        ({}, {"activation": "relu"}, "must be a list"),
        ({}, {"activation": ("relu", "tanh")}, "must be a list"),
        ({}, {"activation": []}, "must be a list"),
        ({}, {"learning_rate": (0.1, 0.01)}, "low <= high"),
        ({}, {"learning_rate": (0, 0.01)}, "0 < low"),
        ({}, {"learning_rate": (1, 2, 3)}, "a tuple \\(low, high\\) or a list"),
        ({}, {"depth": (1, 9)}, "halved 3 times"),
        ({"depth": 4}, {}, "halved 3 times"),
    ],
    ids=str,
)
def test_illegal_changes_raise(fixed, ranges, message):
    with pytest.raises(ValueError, match=message):
        space("cascade_cnn", (8, 8, 1), fixed=fixed, ranges=ranges)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"deth": 2}, "Did you mean 'depth'"),
        ({"dropout": 0.9}, "0 to 0.5"),
        ({"batch_size": 50}, "16, 32, 64, 128, 256"),
        ({"optimizer": "lion"}, "sgd, adagrad"),
        ({"epochs": "many"}, "must be an integer"),
    ],
    ids=str,
)
def test_a_starting_point_outside_of_the_space_raises(start, message):
    with pytest.raises(ValueError, match=message):
        space("mlp", (8, 8, 1), start=start)


def test_what_a_variant_states_is_searched_only_where_the_caller_names_it():
    rows = space("lenet5", (32, 32, 1))
    assert {"depth", "first_filters", "kernel_size", "activation", "batch_norm"}.isdisjoint(rows)
    assert {"dropout", "optimizer", "epochs"} <= set(rows)
    rows = space("lenet5", (32, 32, 1), ranges={"activation": ["tanh", "relu"], "depth": (2, 5)})
    assert rows["activation"].options == ("tanh", "relu")
    assert {"depth", "first_filters"} <= set(rows)
    assert "batch_norm" not in rows


def test_arguments_of_the_caller_leave_no_idle_rows():
    rows = space("cascade_cnn", (8, 8, 1), arguments={"filters": (4,), "head": "flatten"})
    assert {"depth", "first_filters", "head"}.isdisjoint(rows)
    with pytest.raises(ValueError, match="'depth' decides the builder argument 'filters'"):
        space("cascade_cnn", (8, 8, 1), arguments={"filters": (4,)}, fixed={"depth": 2})


@pytest.mark.parametrize(
    ("input_shape", "depths"),
    [
        ((2, 2, 1), (1,)),
        ((8, 8, 1), (1, 2, 3)),
        ((28, 28, 1), (2, 3, 4)),
        ((64, 16, 3), (3, 4)),
        ((224, 224, 3), (5, 6)),
    ],
    ids=str,
)
def test_depth_follows_the_images(input_shape, depths):
    assert space("cascade_cnn", input_shape)["depth"].options == depths


@pytest.mark.parametrize("input_shape", [(1, 8, 1), (None, None, 3), (8, 8)], ids=str)
def test_images_that_cannot_be_searched_raise(input_shape):
    with pytest.raises(ValueError, match="input_shape"):
        space("cascade_cnn", input_shape)


def test_rows_check_themselves():
    assert Int(8, 40, step=2, sampling="log").options == (8, 16, 32)
    assert Int(1, 6, step=2).options == (1, 3, 5)
    assert Int(1, 4, default=9).default == 1
    assert Choice((True, False)).kind is bool
    with pytest.raises(ValueError, match="at least one"):
        Choice(())
    assert Choice((0, 0.25)).options == (0.0, 0.25)
    for odd in ((0.5, None), ((8,), (8, 4)), (True, 1.5), ("a", 1)):
        with pytest.raises(ValueError, match="must have choices of one kind"):
            Choice(odd)
    with pytest.raises(ValueError, match="0 < low"):
        Float(0.0, 1.0, sampling="log")


def test_a_value_that_never_applies_is_refused():
    with pytest.raises(ValueError, match="'momentum' applies only where 'optimizer' is 'sgd'"):
        tuning.space("mlp", (8, 8, 1), fixed={"optimizer": "adam", "momentum": 0.5})


def test_a_builder_of_ones_own_passes_through_search_and_training(small, digits, tmp_path):
    @zoo.register(task="classification", space={"width": tuning.Int(4, 8), "tanh": CHOICE})
    def own_net(input_shape=(28, 28, 1), num_classes=10, *, width=4, tanh=False, name="own_net"):
        image = keras.Input(input_shape, name="image")
        x = keras.layers.Flatten()(image)
        x = keras.layers.Dense(width, "tanh" if tanh else "relu")(x)
        return keras.Model(image, keras.layers.Dense(num_classes, "softmax")(x), name=name)

    options = dict(epochs=1, precision="float32", verbose=0)
    found = tuning.search("own_net", small, max_trials=2, directory=tmp_path / "s", **options)
    assert {"width", "tanh"} == set(found.best_arguments) - {"input_shape", "num_classes"}
    run = zoo.train(
        "own_net",
        digits,
        arguments=found.best_arguments,
        recipe=found.best_recipe,
        directory=tmp_path / "run",
        verbose=0,
    )
    assert run.model.count_params() == found.best_model().count_params()
    with pytest.raises(ValueError, match=r"lacks the arguments \['depth'\]"):
        zoo.register(task="classification", space={"depth": CHOICE})(
            lambda input_shape, num_classes, name: None
        )


CHOICE = tuning.Choice((True, False))


def test_conditions_on_arguments_without_a_row(monkeypatch):
    monkeypatch.setattr(zoo.registry, "_entries", dict(zoo.registry._entries))
    rows = {"units": Int(4, 9, when=("kind", ("a",)))}

    @zoo.register(task="classification", space=rows)
    def kinds(input_shape=(2,), num_classes=2, *, units=8, kind="a", name="kinds"):
        """Never built."""

    assert "units" in tuning.space("kinds", (2,))
    assert "units" not in tuning.space("kinds", (2,), arguments={"kind": "b"})
    rows["units"] = Int(4, 9, when=("knd", ("a",)))
    with pytest.raises(ValueError, match="`when` names 'knd': no row or argument"):
        tuning.space("kinds", (2,))


def test_a_start_that_would_not_apply_is_refused():
    with pytest.raises(ValueError, match="`start` has 'momentum', which needs"):
        tuning.space("mlp", (8, 8, 1), start={"momentum": 0.5})
    rows = tuning.space("mlp", (8, 8, 1), start={"momentum": 0.5, "optimizer": "sgd"})
    assert rows["momentum"].default == 0.5
