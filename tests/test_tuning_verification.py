"""Searches of siamese networks: spaces that depend on the head, trials of every head, refusals."""

import itertools

import keras
import keras_tuner
import numpy as np
import pytest
from test_tuning_spaces import draws
from verification_runs import HEADS, small

import tuning
import zoo
from tuning.families import MAX_PARAMETERS, family_of
from tuning.spaces import space, task_arguments
from zoo.space import default_values
from zoo.tasks import VerificationTask

QUICK = dict(epochs=1, precision="float32", verbose=0)

# One point of the space of "siamese_cnn_tiny"; tests vary one or two of its values.
POINT = dict(
    metric="euclidean",
    convs_per_block=1,
    kernel_size=3,
    pooling="max",
    trunk_head="global_average",
    activation="relu",
    batch_norm=True,
    dropout=0.0,
    skip_connections=False,
    pair_margin=1.0,
    triplet_margin=0.2,
    proxy_margin=0.0,
    mining="semi_hard",
    examples=4,
    scale=16.0,
    optimizer="adam",
    learning_rate=3e-3,
    learning_rate_schedule="constant",
    batch_size=32,
)

# The rows that apply to a head alone.
ROWS_OF = {
    "distance": {"metric", "pair_margin"},
    "logistic": set(),
    "embedding": {"triplet_margin", "mining", "examples"},
    "proxies": {"proxy_margin", "scale"},
}
CONDITIONAL = set().union(*ROWS_OF.values())


def point(*others, head=None):
    """The point's values, but for some; and but for those that do not apply to a head."""
    idle = CONDITIONAL - ROWS_OF[head] if head else set()
    return {name: value for name, value in POINT.items() if name not in {*others, *idle}}


@pytest.fixture(scope="module")
def data():
    return small()


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    """A search of the four heads."""
    return tuning.search(
        "siamese_cnn_tiny",
        data,
        tuner="grid",
        max_trials=4,
        fixed=POINT,
        ranges={"head": list(HEADS)},
        directory=tmp_path_factory.mktemp("found") / "search",
        **QUICK,
    )


# Spaces


@pytest.mark.parametrize(
    ("name", "input_shape"),
    [
        *itertools.product(
            ["siamese_cnn", "siamese_face", "koch_siamese_tiny"], [(28, 28, 1), (32, 32, 3)]
        ),
        ("koch_siamese", (65, 65, 3)),
    ],
    ids=str,
)
def test_every_draw_builds_below_the_parameter_cap(name, input_shape):
    rows = space(name, input_shape)
    family = family_of(name)
    seen = set()
    for values in draws(rows, 200)[::10]:
        arguments = family.arguments({key: values[key] for key in family.rows if key in values})
        model = zoo.create(name, input_shape=input_shape, num_classes=10, **arguments)
        assert model.count_params() <= MAX_PARAMETERS
        task = VerificationTask(**task_arguments("verification", values))
        task.compile(model, keras.optimizers.SGD())
        seen.add(values["head"])
    assert seen == set(HEADS)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_largest_models_are_below_the_parameter_cap(depth):
    rows = space("siamese_cnn", (32, 32, 3))
    assert depth in rows["depth"].options
    family = family_of("siamese_cnn")
    for convs, size in itertools.product(rows["convs_per_block"].options, (3, 5)):
        arguments = family.arguments(
            dict(depth=depth, first_filters=64, convs_per_block=convs, kernel_size=size)
        )
        model = zoo.siamese_cnn(
            (32, 32, 3),
            **arguments,
            trunk_head="flatten",
            embedding_dim=128,
            pooling="stride",
            skip_connections=True,
        )
        assert model.count_params() <= MAX_PARAMETERS
    face = family_of("siamese_face").arguments(
        dict(depth=depth, first_filters=32, num_local_blocks=1, local_filters=64)
    )
    assert zoo.siamese_face((32, 32, 3), **face).count_params() <= MAX_PARAMETERS


def test_no_draw_of_kochs_network_is_larger_than_the_papers():
    family = family_of("koch_siamese")
    largest = family.arguments(
        {name: max(family.rows[name].options) for name in ("first_filters", "embedding_dim")}
    )
    assert zoo.koch_siamese(**largest).count_params() == 38_951_745
    assert 2_000_000 < zoo.koch_siamese((65, 65, 3), **largest).count_params() < MAX_PARAMETERS


@pytest.mark.parametrize("head", HEADS)
def test_the_tasks_defaults_are_those_of_the_rows(head):
    rows = space("siamese_cnn", (28, 28, 1), fixed={"head": head})
    ours = VerificationTask(**task_arguments("verification", default_values(rows)))
    model = zoo.create("siamese_cnn_tiny", num_classes=5, head=head)
    losses = []
    for task in (ours, VerificationTask()):
        task.compile(model, keras.optimizers.SGD())
        losses.append(model.loss.get_config())
    assert losses[0] == losses[1]
    assert ours.examples == VerificationTask().examples


@pytest.mark.parametrize("name", ["siamese_cnn", "koch_siamese_tiny", "siamese_face"])
def test_rows_of_a_head_apply_only_where_it_is_drawn_or_decided(name):
    rows_of = ROWS_OF
    if name == "koch_siamese_tiny":  # it has no metric to choose
        rows_of = {**ROWS_OF, "distance": {"pair_margin"}}
    for values in draws(space(name, (28, 28, 1)), 40):
        assert CONDITIONAL & set(values) == rows_of[values["head"]]
        margins = {"pair_margin", "triplet_margin", "proxy_margin"} & set(values)
        given = task_arguments("verification", values)
        assert given.get("margin") == next((values[margin] for margin in margins), None)
        assert set(given) <= {"margin", "mining", "examples", "scale"}
    for head in HEADS:
        fixed = space(name, (28, 28, 1), fixed={"head": head})
        decided = space(name, (28, 28, 1), arguments={"head": head})
        assert CONDITIONAL & set(fixed) == CONDITIONAL & set(decided) == rows_of[head]
        assert all(decided[row].when is None for row in rows_of[head])
        assert "head" not in decided
    some = space(name, (28, 28, 1), ranges={"head": ["distance", "proxies"]})
    assert CONDITIONAL & set(some) == rows_of["distance"] | rows_of["proxies"]


def test_rows_that_never_apply_are_refused():
    with pytest.raises(ValueError, match="'scale' applies only where 'head' is 'proxies'"):
        space("siamese_cnn", (28, 28, 1), fixed={"head": "embedding", "scale": 8.0})
    with pytest.raises(ValueError, match="Unknown hyperparameter 'scale'"):
        space("siamese_cnn", (28, 28, 1), arguments={"head": "embedding"}, fixed={"scale": 8.0})
    with pytest.raises(ValueError, match="Did you mean 'pair_margin'"):
        space("siamese_cnn", (28, 28, 1), fixed={"margin": 0.5})
    # A family without heads has none of them.
    assert not CONDITIONAL & set(space("mlp", (28, 28, 1), task="verification"))


# Searches


def test_every_head_is_searched_and_recorded(found, data):
    assert [trial.values["head"] for trial in found.trials] == list(HEADS)
    assert found.objective == "val_auc"
    for trial in found.trials:
        assert trial.status == "COMPLETED", trial.error
        assert 0.5 < trial.score <= 1
        assert CONDITIONAL & set(trial.values) == ROWS_OF[trial.values["head"]]


def test_the_best_trial_can_be_trained_as_it_was(found, data, tmp_path):
    drawn = task_arguments("verification", found.best_values)
    assert found.best_task == VerificationTask(**drawn)
    run = zoo.train(
        "siamese_cnn_tiny",
        data,
        arguments=found.best_arguments,
        task=found.best_task,
        recipe=found.best_recipe,
        directory=tmp_path,
        verbose=0,
    )
    assert run.config["arguments"]["head"] == found.best_values["head"]
    for name, value in found.best_task.get_config().items():
        assert run.config["task_arguments"][name] == value
    assert 0.5 < run.metrics["auc"] <= 1


def test_a_trials_task_is_the_searchs_own_but_for_what_is_drawn(data):
    task = VerificationTask(singles="leave_out", target_far=0.01, mining="batch_hard")
    model = tuning.hypermodel("siamese_cnn_tiny", input_shape=(8, 8, 1), num_classes=6, task=task)
    assert "mining" not in model.rows  # the caller has stated it
    drawn = model.trial_task({"head": "embedding", "triplet_margin": 0.1, "examples": 2})
    assert vars(drawn) == {**vars(task), "margin": 0.1, "examples": 2}
    assert model.trial_task({"head": "logistic"}) is task


def test_a_search_goes_on_where_it_ended(data, tmp_path):
    def search(directory, max_trials, **options):
        return tuning.search(
            "siamese_cnn_tiny",
            data,
            max_trials=max_trials,
            fixed=point("learning_rate", head="distance") | {"head": "distance"},
            directory=tmp_path / directory,
            **QUICK,
            **options,
        )

    whole = search("whole", 2)
    search("cut", 1)
    resumed = search("cut", 2, resume=True)
    assert [trial.score for trial in resumed.trials] == [trial.score for trial in whole.trials]
    assert [trial.values for trial in resumed.trials] == [trial.values for trial in whole.trials]
    with pytest.raises(ValueError, match=r"task_arguments.target_far: .* then, 0.5 now"):
        search("cut", 2, resume=True, task=VerificationTask(target_far=0.5))


@pytest.mark.parametrize(
    ("head", "ranges", "message"),
    [
        ("embedding", {"batch_size": [8, 16]}, "A batch of 8 holds fewer than two classes of 8"),
        ("distance", {"batch_size": [15, 16]}, "`batch_size` must be even"),
        ("distance", {"pair_margin": [3.0, 1.0]}, "`margin`=3 can never be reached"),
    ],
)
def test_what_cannot_be_trained_fails_its_trial_and_not_the_search(
    head, ranges, message, data, tmp_path
):
    fixed = point(*ranges, head=head) | {"head": head}
    if head == "embedding":
        fixed["examples"] = 8
    result = tuning.search(
        "siamese_cnn_tiny",
        data,
        tuner="grid",
        max_trials=2,
        fixed=fixed,
        ranges=ranges,
        directory=tmp_path / "search",
        **QUICK,
    )
    completed, failed = sorted(result.trials, key=lambda trial: trial.status)
    assert (completed.status, failed.status) == ("COMPLETED", "FAILED")
    assert message in failed.error


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("siamese_cnn_tiny", {"fixed": {"head": "distance", "pair_margin": 3.0}}, "never be reach"),
        ("siamese_cnn_tiny", {"data": None}, "load the data with .*split_by='classes'"),
        ("mlp_tiny", {"task": "verification"}, "does not compare"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    name, options, message, data, digits, tmp_path
):
    given = options.pop("data", data) or digits
    with pytest.raises(ValueError, match=message):
        tuning.search(name, given, directory=tmp_path / "search", **QUICK, **options)
    assert not (tmp_path / "search").exists()


def test_hypermodel_works_in_plain_keras_tuner(data, tmp_path):
    model = tuning.hypermodel(
        "siamese_cnn_tiny",
        input_shape=(8, 8, 1),
        num_classes=6,
        fixed=point() | {"epochs": 2},
        precision="float32",
    )
    tuner = keras_tuner.RandomSearch(
        model,
        objective=keras_tuner.Objective("val_auc", "max"),
        max_trials=3,
        seed=1,
        directory=tmp_path,
    )
    tuner.search(data, verbose=0)
    trials = tuner.oracle.get_best_trials(3)
    assert {trial.status for trial in trials} == {"COMPLETED"}
    assert len({trial.hyperparameters["head"] for trial in trials}) > 1
    # The model of the best epoch gives the score.
    best = tuner.get_best_models()[0]
    rates = zoo.verification.judge(zoo.sides(best), data.validation).rates()
    assert rates["auc"] == pytest.approx(trials[0].score, abs=1e-6)
    assert np.isfinite(best.get_weights()[0]).all()
