"""One contract that every registered model keeps, at sizes that keep the tests fast."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import zoo
import zoo.tasks
from zoo.registry import entry
from zoo.training.precision import precision_scope

# Trainable and other parameters with default arguments; a change here is a change of a model.
PARAMETERS = {
    "conv_autoencoder": 316_385,
    "conv_autoencoder_32": 970_179,
    "conv_autoencoder_tiny": 18_997,
    "dense_autoencoder": 476_720,
    "dense_autoencoder_tiny": 51_284,
    "hinton_autoencoder": 2_837_314,
    "variational_autoencoder": 815_824,
    "bidirectional_classifier": 48_906,
    "cascade_cnn": 437_034,
    "cascade_cnn_residual": 300_234,
    "cascade_cnn_tiny": 1_490,
    "deepface": 118_923_774,
    "deepface_tiny": 319_592,
    "deepid": 2_245_497,
    "deepid2": 2_337_452,
    "deepid_tiny": 9_520,
    "elman_classifier": 21_386,
    "face_cnn": 7_010_120,
    "face_cnn_tiny": 202_192,
    "gru_classifier": 61_962,
    "koch_siamese": 38_951_745,
    "koch_siamese_tiny": 1_569,
    "lenet5": 61_706,
    "mlp": 236_298,
    "mlp_residual": 253_194,
    "mlp_tiny": 25_546,
    "recurrent_classifier": 81_674,
    "recurrent_classifier_tiny": 3_050,
    "siamese_cnn": 389_280,
    "siamese_cnn_tiny": 1_592,
    "siamese_face": 7_004_960,
    "siamese_face_tiny": 201_512,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
}
NAMES = zoo.list_models()
CLASSIFIERS = zoo.list_models(task="classification")
AUTOENCODERS = zoo.list_models(task="reconstruction")
SIAMESE = zoo.list_models(task="verification")

# Arguments that make the models fast, where they would be slow.
NARROW = {
    "koch_siamese": {"kernel_sizes": (4, 3, 2, 2), "filters": (8,) * 4, "embedding_dim": 32},
    "deepface": {"filters": (8,) * 5, "embedding_dim": 32},
    "vgg16": {"filters": (8,) * 5, "dense_units": (16, 16)},
    "vgg19": {"filters": (8,) * 5, "dense_units": (16, 16)},
}


def shapes(name):
    """Two small shapes that the model takes, of images, or of sequences where it is for these."""
    if len(zoo.describe(name).arguments["input_shape"]) == 2:
        return [(12, 5), (9, 7)]
    return [(72, 72, 3), (80, 73, 3)] if name.startswith("deepface") else [(32, 32, 3), (40, 33, 3)]


def shared(name, size=0):
    """Arguments for small examples and five classes."""
    classes = {"num_classes": 5} if name in CLASSIFIERS else {}
    return {"input_shape": shapes(name)[size], **classes, **NARROW.get(name, {})}


def small(name, size=0, **arguments):
    """Build a model for small examples and five classes, narrow where it would be slow."""
    keras.utils.set_random_seed(0)
    return zoo.create(name, **{**shared(name, size), **arguments})


def batch(model, size=8):
    """Examples and what is to become of them: labels, the images again, or 1 for the same."""
    generator = np.random.default_rng(0)
    images = {
        tensor.name: generator.random((size, *tensor.shape[1:]), dtype="float32")
        for tensor in model.inputs
    }
    if len(images) == 2:
        return images, np.arange(size)[:, None] % 2
    (images,) = images.values()
    return images, images if len(model.output_shape) == 4 else np.arange(size) % 5


def compiled(model):
    task = zoo.tasks.get(entry(model.name).task)
    task.compile(model, keras.optimizers.Adam(1e-3))
    return model


def loss_of(model, images, targets):
    """The loss of a training step, with what the layers charge for."""
    predicted = model(images, training=True)
    return model.compute_loss(images, targets, predicted, training=True)


def test_every_model_has_a_golden_parameter_count():
    assert set(PARAMETERS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_parameter_count_with_defaults(name):
    assert zoo.create(name).count_params() == PARAMETERS[name]


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("size", [0, 1])
def test_output_shape_and_range(name, size):
    model = small(name, size)
    outputs = model.predict(batch(model)[0], verbose=0)
    assert outputs.shape == (8, 5)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", AUTOENCODERS)
@pytest.mark.parametrize("size", [0, 1])
def test_the_reconstruction_has_the_images_shape_and_range(name, size):
    model = small(name, size)
    outputs = model.predict(batch(model)[0], verbose=0)
    assert outputs.shape == (8, *model.input_shape[1:])
    assert outputs.min() >= 0
    assert outputs.max() <= 1


@pytest.mark.parametrize("name", SIAMESE)
@pytest.mark.parametrize("size", [0, 1])
def test_an_image_is_nearer_to_itself_than_to_another(name, size):
    model = small(name, size)
    images, _ = batch(model)
    parts = zoo.sides(model)
    embeddings = parts.left.predict(images["left"], verbose=0)
    rows = np.arange(8)
    near = parts.distances(embeddings, embeddings, rows, rows)
    far = parts.distances(embeddings, embeddings, rows, rows[::-1])
    assert model.output_shape == (None, 1)
    if model.output_names == ["distance"]:
        np.testing.assert_allclose(near, 0, atol=1e-6)
        assert (far > near).all()
    else:
        assert ((near > 0) & (near < 1)).all()
        assert np.ptp(far) > 0


@pytest.mark.parametrize("name", NAMES)
def test_input_and_output_are_named(name):
    model = small(name)
    one = "image" if len(shapes(name)[0]) == 3 else "features"
    expected = ["left", "right"] if name in SIAMESE else [one]
    assert [tensor.name for tensor in model.inputs] == expected
    assert model.output_names in (["probabilities"], ["reconstruction"], ["distance"])


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_gets_a_finite_gradient(name):
    import tensorflow as tf

    model = compiled(small(name))
    with tf.GradientTape() as tape:
        loss = loss_of(model, *batch(model))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), f"{variable.path} gets no gradient at all"


@pytest.mark.parametrize("name", NAMES)
def test_training_lowers_the_loss_on_a_fixed_batch(name):
    has_dropout = "dropout" in zoo.describe(name).arguments
    model = compiled(small(name, **({"dropout": 0.0} if has_dropout else {})))
    losses = [model.train_on_batch(*batch(model), return_dict=True)["loss"] for _ in range(6)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_keras_file_round_trip_is_exact(name, tmp_path):
    model = small(name)
    images, _ = batch(model)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        model.predict(images, verbose=0), again.predict(images, verbose=0)
    )


@pytest.mark.parametrize("name", NAMES)
def test_builders_are_deterministic_and_registry_round_trips(name):
    found = entry(name)
    direct = found.builder(**{**found.arguments, **shared(name), "name": name})
    assert direct.get_config() == zoo.create(name, **shared(name)).get_config()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_headless_model_gives_features(name):
    model = small(name, num_classes=0)
    assert model.output_names == ["features" if model.input.name == "image" else "hidden"]
    assert len(model.output_shape) == 2


CLIENT = """
import sys, numpy, tensorflow as tf
for name in sys.argv[2:]:
    with numpy.load(sys.argv[1] + '/' + name + '_inputs.npz') as file:
        inputs = {key: tf.constant(file[key]) for key in file.files}
    served = tf.saved_model.load(sys.argv[1] + '/' + name)
    (output,) = served.signatures['serving_default'](**inputs).values()
    numpy.save(sys.argv[1] + '/' + name + '.npy', output)
"""


def inputs_by_name(model):
    images, _ = batch(model)
    return images if isinstance(images, dict) else {model.input.name: images}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Where one fresh process, without Keras, has served every model's SavedModel.

    The models are those of a training in mixed precision, whose exports compute in float32.
    """
    directory = tmp_path_factory.mktemp("served")
    for name in NAMES:
        with precision_scope("mixed_bfloat16"):
            model = small(name)
        zoo.export_saved_model(model, directory / name)
        np.savez(directory / f"{name}_inputs.npz", **inputs_by_name(model))
    subprocess.run([sys.executable, "-c", CLIENT, directory, *NAMES], check=True, timeout=300)
    return directory


@pytest.mark.parametrize("name", NAMES)
def test_saved_model_serves_the_same_numbers_in_a_fresh_process(name, served):
    model = small(name)
    expected = model.predict(batch(model)[0], verbose=0)
    np.testing.assert_allclose(np.load(served / f"{name}.npy"), expected, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_describe_tells_every_argument(name):
    description = zoo.describe(name)
    text = str(description)
    for part in (name, description.summary, description.reference):
        assert part
        assert part in text
    for argument, value in description.arguments.items():
        assert f"{argument} = {value!r}" in text
