"""What the rules say of histories that are made up; real trainings are in test_health_training."""

import dataclasses

import numpy as np
import pytest

from zoo.health import History, Report, judge
from zoo.health.exploding import exploding_signs
from zoo.health.history import NonFinite, OneOutput, OutOfReach, TimeGradients, Units
from zoo.health.remedies import REMEDIES, in_order
from zoo.health.rules import RULES

LAYERS = 10


def history(losses, gradients, weights=None, scale=1.0, one_output=None):
    """A history of kernels alone: gradients are (records, layers), a record every ten steps.

    `one_output` are the losses of step 101, and those of one output for all examples.
    """
    gradients = np.asarray(gradients, float)
    names = tuple(f"dense{index}" for index in range(gradients.shape[1]))
    made = History(
        variables=tuple(f"{name}/kernel" for name in names), layers=names, sizes=(64,) * len(names)
    )
    weights = np.ones_like(gradients) if weights is None else weights
    for index, (row, norms) in enumerate(zip(gradients, weights, strict=True)):
        made.add(1 + 10 * index, row * scale, norms)
    for loss in losses:
        made.add_loss(loss * scale)
    if one_output:
        loss, of_mean = one_output
        made.one_output = OneOutput([101], [loss * scale], [of_mean * scale])
    return made


def falling(steps=200, start=2.3, end=0.3):
    noise = np.random.default_rng(0).normal(1, 0.05, steps)
    return np.geomspace(start, end, steps) * noise


def flat(records=20, layers=LAYERS):
    return np.random.default_rng(0).uniform(0.5, 2, (records, layers))


def fading(factor, records=20):
    return flat(records) * factor ** np.arange(LAYERS)[::-1]


SICK = {
    "vanishing": history(np.full(200, 2.3), fading(0.1)),
    "exploding": history(np.geomspace(2.3, 2e5, 200), flat()),
    "growing weights": history(
        np.geomspace(2.3, 40, 200), flat(), np.geomspace(1, 100, 20)[:, None] * np.ones(LAYERS)
    ),
    "no traction": history(np.random.default_rng(0).normal(2.3, 0.05, 200), flat()),
    "spikes": history(np.where(np.arange(200) % 20 == 19, 50.0, falling()), flat()),
}


def names(made, **thresholds):
    return {finding.name: finding.severity for finding in judge(made, thresholds)}


def test_nothing_is_said_of_a_healthy_history():
    assert judge(history(falling(), flat())) == ()


@pytest.mark.parametrize(
    ("which", "name"),
    [
        ("vanishing", "vanishing_gradients"),
        ("exploding", "exploding_gradients"),
        ("growing weights", "exploding_gradients"),
        ("no traction", "no_traction"),
        ("spikes", "loss_spikes"),
    ],
)
def test_each_sickness_is_found_by_its_name(which, name):
    found = names(SICK[which])
    assert found[name] in ("error", "warning")


LOW = np.concatenate([np.geomspace(5.0, 0.69, 50), np.full(150, 0.69)])  # what a constant costs


@pytest.mark.parametrize("scale", [1.0, 1e-3, 100.0])
@pytest.mark.parametrize(
    ("losses", "one_output", "found"),
    [
        (LOW, (0.69, 0.69), {"no_traction": "warning"}),
        (LOW, (0.69, 0.692), {"no_traction": "warning"}),
        (LOW, (0.6, 0.69), {}),
        (LOW, None, {}),
        (LOW * 1e14, (1.38e14, 0.69), {"no_traction": "warning"}),
        (np.append(LOW[:120], np.geomspace(0.69, 0.5, 80)), (0.69, 0.69), {}),
        (np.geomspace(5.0, 2.0, 200), (3.0, 0.69), {}),
    ],
    ids=[
        *("one output", "hardly better", "better", "not measured", "far above"),
        *("falls since", "still falls"),
    ],
)
def test_a_loss_that_falls_to_what_one_output_costs(losses, one_output, found, scale):
    made = history(losses, flat(), scale=scale, one_output=one_output)
    assert names(made) == found
    if found:
        assert "with one output for all examples" in judge(made)[0].evidence


@pytest.mark.parametrize("scale", [1e-3, 100.0])
@pytest.mark.parametrize("which", SICK)
def test_verdicts_do_not_change_with_the_scale_of_the_loss(which, scale):
    original = SICK[which]
    scaled = history(original.loss, original.gradient_norm, original.weight_norm, scale=scale)
    assert names(scaled) == names(original)


def test_vanishing_names_the_first_layer_and_the_factor_a_layer():
    (finding,) = [one for one in judge(SICK["vanishing"]) if one.name == "vanishing_gradients"]
    assert finding.layer == "dense0"
    assert finding.severity == "error"
    assert "factor of 10 a layer" in finding.evidence


def test_gradients_that_fade_through_time():
    made = history(np.full(200, 1.0), flat(layers=2))
    made.time_gradients["rnn"] = TimeGradients([101], [list(np.geomspace(1e-9, 1, 50))])
    found = [one for one in judge(made) if one.name == "vanishing_gradients"]
    assert [one.layer for one in found] == ["rnn"]
    assert "through time" in found[0].evidence


def test_gradients_may_fade_through_time_where_the_loss_falls():
    made = history(falling(), flat(layers=2))
    made.time_gradients["rnn"] = TimeGradients([101], [list(np.geomspace(1e-9, 1, 50))])
    assert names(made) == {}


@pytest.mark.parametrize(
    ("units", "name"),
    [
        (Units("relu", [101], [0.97], [0.0]), "dead_units"),
        (Units("tanh", [101], [0.0], [0.95]), "saturated_units"),
    ],
)
def test_units_that_do_not_answer(units, name):
    made = history(np.full(200, 2.3), flat())
    made.units["dense3"] = units
    (finding,) = [one for one in judge(made) if one.name == name]
    assert (finding.layer, finding.severity, finding.step) == ("dense3", "error", 101)


def test_units_may_be_certain_once_the_loss_has_fallen():
    made = history(falling(end=0.01), flat())
    made.units["dense3"] = Units("tanh", [101], [0.0], [0.95])
    assert names(made) == {}


def test_targets_beyond_the_last_activation_are_saturated_units():
    made = history(falling(), flat())
    made.out_of_reach = OutOfReach(1, "last", "sigmoid", 0.5, -2.0, 3.0)
    (finding,) = judge(made)
    assert (finding.name, finding.severity) == ("saturated_units", "warning")
    assert finding.evidence.startswith("50% of the targets, which are -2 to 3, are beyond")
    assert names(made, saturated_units={"targets": 0.6}) == {}


def test_of_a_training_that_tells_no_loss_only_what_was_measured_is_said():
    made = history(np.full(200, np.nan), fading(0.1))
    made.time_gradients["rnn"] = TimeGradients([101], [list(np.geomspace(1e-9, 1, 50))])
    assert names(made) == {"vanishing_gradients": "warning"}
    assert names(history(np.full(200, np.nan), flat())) == {}


def test_the_first_value_that_is_not_finite():
    made = history([2.0, 2.0, np.nan], flat(1))
    made.non_finite = NonFinite(3, "output", "dense4")
    finding = judge(made)[0]
    assert (finding.name, finding.severity, finding.step) == ("non_finite", "error", 3)
    assert finding.layer == "dense4"


def test_signs_of_exploding_gradients_go_by_name():
    loud = history(np.geomspace(2.3, 2e5, 200), 5 * flat())
    signs = {sign.name: sign.counts for sign in exploding_signs(loud)}
    assert signs["growing loss"]
    assert signs["poor traction"] is False
    assert signs["gradient norms above 1 for every layer"] is False  # information only
    quiet = exploding_signs(history(falling(), 5 * flat()))
    assert [sign.name for sign in quiet] == ["gradient norms above 1 for every layer"]


def test_weights_may_grow_where_the_loss_falls():
    """As those of embeddings do, which begin near 0."""
    made = history(falling(), flat(), np.geomspace(0.1, 3.0, 20)[:, None] * np.ones(LAYERS))
    (sign,) = [one for one in exploding_signs(made) if one.name == "growing weights"]
    assert sign.evidence == "30 times its first norm"
    assert names(made) == {}


@pytest.mark.parametrize(("size", "found"), [(1e-4, False), (1.0, True)])
def test_a_first_update_may_be_larger_than_weights_that_are_tiny(size, found):
    made = History(("last/kernel",), ("last",), (100,))
    made.add(1, np.array([0.5]), np.array([size]), np.array([10.0]))
    signs = {sign.name for sign in exploding_signs(made)}
    assert ("updates as large as the weights" in signs) == found


def test_thresholds_are_arguments():
    made = history(np.full(200, 2.3), fading(0.3))
    assert "vanishing_gradients" not in names(made, vanishing_gradients={"ratio": 1e-9})
    assert "vanishing_gradients" in names(made, vanishing_gradients={"ratio": 0.1})


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({"vanishing": {"ratio": 0.1}}, "Did you mean 'vanishing_gradients'"),
        ({"vanishing_gradients": {"ratios": 0.1}}, "Did you mean 'ratio'"),
        ({"vanishing_gradients": {"ratio": -1}}, "must be a number above 0, received -1"),
        ({"vanishing_gradients": 3}, "must be a dictionary"),
    ],
)
def test_bad_thresholds_are_refused(thresholds, words):
    with pytest.raises(ValueError, match=words):
        judge(History(), thresholds)


def test_every_rule_has_remedies():
    assert set(REMEDIES) == {rule.__name__ for rule in RULES}


def test_a_remedy_is_shown_as_the_call():
    calls = [remedy.call for remedy in REMEDIES["vanishing_gradients"]]
    assert calls[:2] == ["activation='relu'", "skip_connections=True"]
    assert "try: activation='relu'" in str(Report.of(SICK["vanishing"]))


def test_a_remedy_changes_only_what_it_is_for():
    relu, skip, *_ = REMEDIES["vanishing_gradients"]
    has = {"activation": "sigmoid", "skip_connections": True}
    assert relu.changes(has, {}) == ({"activation": "relu"}, {})
    assert relu.changes({"activation": "elu"}, {}) is None
    assert skip.changes(has, {}) is None  # it is so already
    assert skip.changes({"activation": "relu"}, {}) is None  # the builder has no such argument
    lower = REMEDIES["dead_units"][0]
    assert lower.changes({}, {"learning_rate": 0.5}) == ({}, {"learning_rate": 0.05})


@pytest.mark.parametrize("name", ["non_finite", "exploding_gradients"])
def test_what_brings_an_explosion_about_is_mended_first(name):
    def calls(activation, initializer):
        has = {"activation": activation, "kernel_initializer": initializer}
        recipe = {"learning_rate": 1.0}
        return [one.call for one in REMEDIES[name] if one.changes(has, recipe)]

    assert calls("exponential", "ones")[:3] == [
        "activation='relu'",
        "kernel_initializer='glorot_uniform'",
        "global_clipnorm=1.0",
    ]
    assert calls("relu", "he_normal")[0] == "global_clipnorm=1.0"


@pytest.mark.parametrize(
    ("update", "first", "last"),
    [
        (2.0, "learning_rate * 0.001", "learning_rate * 10"),
        (0.3, "learning_rate * 0.1", "learning_rate * 10"),
        (0.01, "learning_rate * 0.1", ""),  # as they are listed
        (1e-6, "learning_rate * 10", "learning_rate * 0.001"),
        (np.nan, "learning_rate * 0.1", ""),
    ],
)
def test_the_rate_that_makes_updates_usual_is_tried_first(update, first, last):
    made = History(("a", "b", "c"), ("a", "b", "c"), (64,) * 3)
    for ratio in ([update] * 3, [update / 100, update, np.inf]):
        made.add(1, np.ones(3), np.ones(3), np.array(ratio))
    listed = REMEDIES["no_traction"]
    calls = [remedy.call for remedy in in_order(listed, made)]
    assert sorted(calls) == sorted(remedy.call for remedy in listed)
    assert (calls[0], calls[-1]) == (first, last)


def test_what_brings_an_explosion_about_comes_before_any_rate():
    made = History(("a",), ("a",), (64,))
    made.add(1, np.ones(1), np.ones(1), np.array([5.0]))
    calls = [remedy.call for remedy in in_order(REMEDIES["exploding_gradients"], made)]
    assert calls[:5] == [
        "activation='relu'",
        "kernel_initializer='glorot_uniform'",
        "learning_rate * 0.001",
        "learning_rate * 0.1",
        "global_clipnorm=1.0",
    ]


def test_reports_come_back_from_disk(tmp_path):
    made = dataclasses.replace(
        SICK["vanishing"], units={"dense1": Units("relu", [1], [0.5], [0.0])}
    )
    made.non_finite = NonFinite(7, "weight", "dense1", ("dense1/kernel",))
    report = Report.of(made)
    report.save(tmp_path / "health.json")
    again = Report.load(tmp_path / "health.json")
    assert again.findings == report.findings
    assert again.history.get_config() == made.get_config()
    assert str(again) == str(report)
    (tmp_path / "health.json").write_text("{}")
    with pytest.raises(ValueError, match=r"health\.json"):
        Report.load(tmp_path / "health.json")


def test_long_histories_keep_their_size(tmp_path):
    made = history(np.linspace(2, 1, 100_000), flat(3))
    for step in range(5000):
        made.add(31 + step, np.ones(LAYERS), np.ones(LAYERS))
    assert len(made.steps) <= 512
    assert (np.diff(made.steps) > 0).all()
    Report.of(made).save(tmp_path / "health.json")
    assert (tmp_path / "health.json").stat().st_size < 1e6
    again = Report.load(tmp_path / "health.json").history
    assert abs(again.last_step - made.last_step) < again.loss_stride
