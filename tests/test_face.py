"""The face models: the papers' tables, what shares weights where, and what the features are."""

import keras
import numpy as np
import pytest

import zoo
from zoo.layers import LocallyConnected2D, LowRankLocallyConnected2D


def table(model, *parts):
    """Name, output shape and number of weights of the layers that have weights, and of some."""
    return {
        layer.name: (*layer.output.shape[1:], layer.count_params())
        for layer in model.layers
        if layer.weights or layer.name in parts
    }


def test_deepface_is_the_papers():
    model = zoo.deepface()
    assert table(model, "M2") == {
        "C1": (142, 142, 32, 11_648),
        "M2": (71, 71, 32, 0),
        "C3": (63, 63, 16, 41_488),
        "L4": (55, 55, 16, 62_774_800),
        "L5": (25, 25, 16, 7_850_000),
        "L6": (21, 21, 16, 2_829_456),
        "F7": (4096, 28_905_472),
        "F8": (4030, 16_510_910),
    }
    assert model.count_params() == 118_923_774
    assert model.get_layer("F7_dropout").rate == 0.5


def test_deepid_is_the_papers():
    assert table(zoo.deepid(), "pool1", "pool2", "pool3", "join") == {
        "conv1": (52, 44, 20, 980),
        "pool1": (26, 22, 20, 0),
        "conv2": (24, 20, 40, 7_240),
        "pool2": (12, 10, 40, 0),
        "conv3": (10, 8, 60, 21_660),
        "pool3": (5, 4, 60, 0),
        "conv4": (4, 3, 80, 12 * (240 * 80 + 80)),
        "join": (2160, 0),  # 1,200 of the pooled third layer, 960 of the fourth
        "embedding": (160, 345_760),
        "classifier": (10_177, 1_638_497),
    }


def test_deepid2_shares_the_third_layer_in_regions_of_2x2():
    layer = zoo.create("deepid2").get_layer("conv3")
    assert isinstance(layer, LocallyConnected2D)
    assert layer.kernel.shape == (5, 4, 360, 60)
    assert (layer.region, layer.tile) == ((2, 2), None)


@pytest.mark.parametrize(
    ("builder", "smallest", "arguments"),
    [
        (zoo.deepface, 71, dict(filters=(2,) * 5)),
        (zoo.deepid, 31, dict(filters=(2,) * 4)),
        (zoo.face_cnn, 4, dict(first_filters=2, local_filters=2)),
    ],
)
def test_the_smallest_images_are_what_the_message_says(builder, smallest, arguments):
    arguments = dict(num_classes=3, embedding_dim=4, **arguments)
    assert builder((smallest, smallest, 1), **arguments).output_shape == (None, 3)
    for shape in [(smallest - 1, 90, 1), (90, smallest - 1, 1), (None, 90, 1)]:
        with pytest.raises(ValueError, match=f"`input_shape` .* at least {smallest} pixels"):
            builder(shape, **arguments)


@pytest.mark.parametrize(
    ("builder", "shape"), [(zoo.deepface, (72, 72, 1)), (zoo.face_cnn, (16, 16, 1))]
)
def test_headless_models_give_embeddings_of_length_1(builder, shape):
    keras.utils.set_random_seed(0)
    model = builder(shape, 0, embedding_dim=8)
    images = np.random.default_rng(0).random((5, *shape), dtype="float32")
    features = model.predict(images, verbose=0)
    assert features.shape == (5, 8)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)


def test_an_embedding_is_the_classifiers_input_scaled_to_length_1():
    keras.utils.set_random_seed(0)
    classifier = zoo.create("face_cnn_tiny", num_classes=3)
    headless = zoo.create("face_cnn_tiny", num_classes=0)
    zoo.transfer_weights(classifier, headless)
    images = np.random.default_rng(0).random((5, 56, 46, 1), dtype="float32")
    below = zoo.features(classifier, ["embedding_activation"]).predict(images, verbose=0)
    below = below["embedding_activation"] if isinstance(below, dict) else below
    expected = below / np.linalg.norm(below, axis=1, keepdims=True)
    np.testing.assert_allclose(headless.predict(images, verbose=0), expected, atol=1e-6)


def test_sharing_changes_the_upper_layers_only():
    models = {
        sharing: zoo.face_cnn((16, 16, 1), 3, sharing=sharing, num_local_blocks=2, rank=3)
        for sharing in ("local", "low_rank", "shared")
    }
    kinds = [type(model.get_layer("local2")) for model in models.values()]
    assert kinds == [LocallyConnected2D, LowRankLocallyConnected2D, keras.layers.Conv2D]
    assert models["low_rank"].get_layer("local2").rank == 3
    names, shapes = zip(
        *(
            ([layer.name for layer in model.layers], [layer.output.shape for layer in model.layers])
            for model in models.values()
        ),
        strict=True,
    )
    assert names[0] == names[1] == names[2]
    assert shapes[0] == shapes[1] == shapes[2]


def test_low_rank_1_is_the_shared_net():
    shared = zoo.face_cnn((16, 16, 1), 3, sharing="shared")
    low_rank = zoo.face_cnn((16, 16, 1), 3, sharing="low_rank", rank=1)
    low_rank.set_weights(shared.get_weights())
    images = np.random.default_rng(0).random((5, 16, 16, 1), dtype="float32")
    np.testing.assert_array_equal(
        low_rank.predict(images, verbose=0), shared.predict(images, verbose=0)
    )


def test_filters_double_below_and_stay_above():
    model = zoo.face_cnn(num_shared_blocks=3, first_filters=4, num_local_blocks=2, local_filters=6)
    names = ["shared1_pool", "shared2_pool", "shared3_pool", "local1", "local2"]
    shapes = [model.get_layer(name).output.shape[1:] for name in names]
    assert shapes == [(28, 23, 4), (14, 11, 8), (7, 5, 16), (7, 5, 6), (7, 5, 6)]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: zoo.face_cnn(sharing="tiled"), "`sharing` must be one of 'local'"),
        (lambda: zoo.face_cnn(rank=0), "`rank`"),
        (lambda: zoo.face_cnn(num_shared_blocks=6), "at least 64 pixels"),
        (lambda: zoo.deepface(filters=(8, 8)), "`filters` must be an integer or 5"),
        (lambda: zoo.deepid(region=0), "`region`"),
        (lambda: zoo.deepid(num_classes=1), "`num_classes`=1"),
    ],
)
def test_bad_input_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
