"""The registry: names, suggestions, and that a name is given once."""

import pytest

import zoo
from zoo.registry import register


def test_patterns_and_tasks_select():
    assert zoo.list_models("*tiny*") == [
        "cascade_cnn_tiny",
        "conv_autoencoder_tiny",
        "deepface_tiny",
        "deepid_tiny",
        "dense_autoencoder_tiny",
        "face_cnn_tiny",
        "koch_siamese_tiny",
        "mlp_tiny",
        "recurrent_classifier_tiny",
        "siamese_cnn_tiny",
        "siamese_face_tiny",
    ]
    assert zoo.list_models("hinton*", task="reconstruction") == ["hinton_autoencoder"]
    assert zoo.list_models("hinton*", task="classification") == []
    with pytest.raises(ValueError, match="Did you mean 'reconstruction'"):
        zoo.list_models(task="reconstruct")


def test_unknown_names_suggest_close_ones():
    for look_up in (zoo.create, zoo.describe):
        with pytest.raises(ValueError, match="Did you mean 'lenet5'"):
            look_up("lenet")
    with pytest.raises(ValueError, match=r"'mlp' has no argument.*Did you mean 'hidden_units'"):
        zoo.create("mlp", hidden_unit=(64,))


def test_names_are_not_data():
    with pytest.raises(ValueError, match=r"received 'digits'\. Use zoo\.load_data"):
        zoo.train("mlp_tiny", "digits", directory="nowhere")


def test_a_name_is_registered_once_and_failure_registers_nothing():
    before = zoo.list_models()

    def mlp():
        """Not the one that there is."""

    def fresh(units=1):
        """Have a variant with a name that is taken."""

    with pytest.raises(ValueError, match="'mlp' is registered already"):
        register(task="classification", reference="none")(mlp)
    with pytest.raises(ValueError, match="'vgg16' is registered already"):
        register(task="classification", reference="none", variants={"vgg16": {}})(fresh)
    with pytest.raises(ValueError, match=r"unknown arguments \['width'\]"):
        register(task="classification", reference="none", variants={"a": {"width": 1}})(fresh)
    assert zoo.list_models() == before


def test_a_description_has_the_variants_arguments_and_the_builders():
    described = zoo.describe("vgg19")
    assert described.arguments["convs_per_block"] == (2, 2, 4, 4, 4)
    assert described.arguments["kernel_size"] == 3
    assert described.arguments["name"] == "vgg19"
    assert described.family == "cascade_cnn"


def test_create_lets_the_caller_override_a_variant():
    model = zoo.create("lenet5", input_shape=(28, 28, 1), padding="same", num_classes=4)
    assert model.name == "lenet5"
    assert model.output_shape == (None, 4)
