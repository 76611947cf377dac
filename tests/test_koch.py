"""Siamese families: Koch's network layer by layer, the smallest images, heads, and errors."""

import keras
import numpy as np
import pytest

import zoo

FAMILIES = {
    "siamese_cnn": dict(filters=(2, 2, 2, 2)),
    "koch_siamese": dict(filters=2, embedding_dim=3),
    "siamese_face": dict(first_filters=2, local_filters=2, embedding_dim=3),
}
SMALLEST = {"siamese_cnn": 16, "koch_siamese": 65, "siamese_face": 4}

# Koch, Zemel and Salakhutdinov, figure 4: outputs of each layer, and its weights, for 105 x 105.
KOCH = {
    "conv1": ((96, 96, 64), 10 * 10 * 1 * 64 + 64),
    "pool1": ((48, 48, 64), 0),
    "conv2": ((42, 42, 128), 7 * 7 * 64 * 128 + 128),
    "pool2": ((21, 21, 128), 0),
    "conv3": ((18, 18, 128), 4 * 4 * 128 * 128 + 128),
    "pool3": ((9, 9, 128), 0),
    "conv4": ((6, 6, 256), 4 * 4 * 128 * 256 + 256),
    "flatten": ((9216,), 0),
    "units": ((4096,), 9216 * 4096 + 4096),
}


def test_kochs_network_is_the_papers():
    model = zoo.koch_siamese()
    layers = model.get_layer("trunk").layers[1:]
    found = {layer.name: (layer.output.shape[1:], layer.count_params()) for layer in layers}
    assert found == KOCH
    assert model.get_layer("logistic").count_params() == 4096 + 1
    assert model.count_params() == sum(count for _, count in KOCH.values()) + 4097 == 38_951_745
    activations = {layer.name: layer.activation.__name__ for layer in layers if layer.weights}
    convolutions = dict.fromkeys(["conv1", "conv2", "conv3", "conv4"], "relu")
    assert activations == {**convolutions, "units": "sigmoid"}


def build(family, size, channels=1, num_classes=0, **options):
    return zoo.create(
        family,
        input_shape=(*size, channels),
        num_classes=num_classes,
        **{**FAMILIES[family], **options},
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_images_may_be_as_small_as_the_layers_allow(family):
    least = SMALLEST[family]
    left, right = np.random.default_rng(0).random((2, 3, least, least + 1, 2), dtype="float32")
    model = build(family, (least, least + 1), channels=2)
    assert np.isfinite(model.predict([left, right], verbose=0)).all()
    for size in ((least - 1, least), (least, least - 1)):
        with pytest.raises(ValueError, match="input_shape"):
            build(family, size)


@pytest.mark.parametrize("sizes", [(10, 7, 4, 4), (4, 3, 2, 2), (1, 1, 1, 1), (2, 5, 1, 3)])
def test_the_least_size_that_koch_names_is_the_least(sizes):
    def trunk(side):
        x = keras.Input((side, side, 1))
        for number, size in enumerate(sizes):
            x = keras.layers.Conv2D(1, size)(x)
            x = keras.layers.MaxPooling2D(2)(x) if number < 3 else x

    with pytest.raises(ValueError, match=r"at least \d+ pixels") as caught:
        zoo.koch_siamese((1, 1, 1), kernel_sizes=sizes)
    least = int(str(caught.value).split("at least ")[1].split()[0])
    trunk(least)
    with pytest.raises(ValueError, match=r"negative|zero|size|dimension"):
        trunk(least - 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_head_gives_what_it_is_named_for(family):
    size = (SMALLEST[family] + 2,) * 2
    shapes = {"distance": (None, 1), "logistic": (None, 1), "proxies": (None, 7)}
    names = {"logistic": "probabilities", "proxies": "cosines"}
    for head in ("distance", "logistic", "embedding", "proxies"):
        model = build(family, size, num_classes=7, head=head, name="one")
        parts = zoo.sides(model)
        assert model.name == "one"
        assert model.output_names == [names.get(head, head)]
        assert model.output_shape == shapes.get(head, parts.left.output_shape)
        assert parts.right is parts.left
        expected = ["left", "right"] if head in ("distance", "logistic") else ["image"]
        assert [tensor.name for tensor in model.inputs] == expected


@pytest.mark.parametrize("family", ["siamese_cnn", "siamese_face"])
def test_only_heads_with_two_sides_share_some_layers(family):
    for head in ("distance", "logistic"):
        parts = zoo.sides(build(family, (20, 20), head=head, shared_layers=3))
        assert parts.right is not parts.left
    for head in ("embedding", "proxies"):
        with pytest.raises(ValueError, match="`shared_layers`=3 is for the heads 'distance' and"):
            build(family, (20, 20), num_classes=5, head=head, shared_layers=3)


def test_a_linear_layer_may_lie_above_the_vector():
    model = zoo.siamese_cnn((16, 16, 1), filters=(2, 4), embedding_dim=5)
    plain = zoo.siamese_cnn((16, 16, 1), filters=(2, 4))
    assert zoo.sides(plain).left.output_shape == (None, 4)
    assert zoo.sides(model).left.output_shape == (None, 5)
    assert model.count_params() == plain.count_params() + 4 * 5 + 5


@pytest.mark.parametrize(
    ("message", "family", "arguments"),
    [
        ("`head` must be one of", "siamese_cnn", dict(head="triplet")),
        ("`head` must be one of", "koch_siamese", dict(head="triplet")),
        ("`head` must be one of", "siamese_face", dict(head="triplet")),
        ("`num_classes` must be an integer of at least 2", "siamese_cnn", dict(head="proxies")),
        ("`num_classes` must be an integer of at least 2", "koch_siamese", dict(head="proxies")),
        ("`num_classes` must be an integer of at least 2", "siamese_face", dict(head="proxies")),
        ("`metric`", "siamese_cnn", dict(metric="l2")),
        ("`metric`", "siamese_face", dict(metric="l2")),
        ("`normalize`", "koch_siamese", dict(normalize=1)),
        ("`embedding_dim`", "siamese_cnn", dict(embedding_dim=-1)),
        ("`embedding_dim`", "koch_siamese", dict(embedding_dim=0)),
        ("`embedding_dim`", "siamese_face", dict(embedding_dim=0)),
        ("`filters` must be an integer or 4 of them", "koch_siamese", dict(filters=(8, 8))),
        ("`kernel_sizes`", "koch_siamese", dict(kernel_sizes=(3, 3, 3))),
        ("`activation`", "koch_siamese", dict(activation="rellu")),
        ("`embedding_activation`", "koch_siamese", dict(embedding_activation="sigmod")),
        ("fixed height and width of at least 65", "koch_siamese", dict(size=(None, None))),
        ("fixed height and width", "siamese_face", dict(size=(None, None))),
        ("needs a fixed", "siamese_cnn", dict(size=(None, None), trunk_head="flatten")),
    ],
)
def test_illegal_arguments_are_told(message, family, arguments):
    with pytest.raises(ValueError, match=message):
        build(family, **{"size": (70, 70), **arguments})
