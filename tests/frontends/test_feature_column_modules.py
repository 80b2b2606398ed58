"""Which modules feature columns are made of."""

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.column_modules import texts_fn

v1 = tf.compat.v1


@pytest.fixture(scope="module")
def texts():
    return hub.create_module_spec(texts_fn)


def of_signature(inputs, outputs, name=None):
    def module_fn():
        given = inputs()
        hub.add_signature(name, inputs=given, outputs=outputs(given))

    return hub.create_module_spec(module_fn)


def lengths(texts, shape=(1, 2)):
    floats = tf.cast(tf.strings.length(texts), tf.float32)
    return tf.reshape(floats, [-1] + [1] * (len(shape) - 1)) * tf.ones(shape)


def strings(*shape):
    return lambda: v1.placeholder(tf.string, shape)


def images_of(*shape, dtype=tf.float32, name="images"):
    return lambda: {name: v1.placeholder(dtype, shape)}


def sums(inputs):
    (given,) = inputs.values()
    return tf.reduce_sum(tf.cast(given, tf.float32), [1, 2])


NO_TEXTS = {
    "fixed batch": (
        (strings(10), lambda x: tf.zeros([10, 3])),
        "input 'default': string [10]; output 'default': float32 [10, 3]",
    ),
    "two inputs": (
        (lambda: {"a": strings(None)(), "b": strings(None)()}, lambda x: lengths(x["a"] + x["b"])),
        "inputs: 'a', 'b'",
    ),
    "no text": (
        (lambda: v1.placeholder(tf.float32, [None]), lambda x: x[:, None] * tf.ones([1, 2])),
        "input 'default': float32 [?]",
    ),
    "sparse": (
        (lambda: v1.sparse_placeholder(tf.string, [None]), lambda x: lengths(x.values)),
        "input 'default': sparse string [?]",
    ),
    "another rank": ((strings(None, 1), lengths), "input 'default': string [?, 1]"),
    "no default": ((strings(None), lambda x: {"y": lengths(x)}), "outputs: 'y'"),
    "no floats": (
        (strings(None), lambda x: tf.strings.length(x)[:, None]),
        "output 'default': int32 [?, 1]",
    ),
    "unknown size": (
        (strings(None), lambda x: tf.zeros([tf.shape(x)[0], tf.shape(x)[0]])),
        "output 'default': float32 [?, ?]",
    ),
    "vectors of vectors": (
        (strings(None), lambda x: lengths(x, (1, 2, 2))),
        "output 'default': float32 [?, 2, 2]",
    ),
    "another signature": ((strings(None), lengths, "other"), "signatures: 'other'"),
}


@pytest.mark.parametrize("case", NO_TEXTS)
def test_modules_that_embed_no_texts(case):
    signature, found = NO_TEXTS[case]
    spec = of_signature(*signature)
    for make in (
        lambda: hub.text_embedding_column("text", spec),
        lambda: hub.sparse_text_embedding_column("text", spec, "none", None),
    ):
        with pytest.raises(ValueError, match="only one input") as caught:
            make()
        assert str(caught.value) == (
            "Cannot make a feature column: the module is no text embedding.\n"
            "  In: module '(not published yet)', signature 'default'\n"
            "  Expected: only one input, string [?], and an output 'default', float32 [?, dim] "
            "with a known dim\n"
            f"  Found: {found}\n"
            "  What to do: apply the module as hub.Module or hub.ModuleLayer, which take any "
            "signature"
        )
        assert isinstance(caught.value, hub.SignatureError)


NO_IMAGES = {
    "another name": (
        (images_of(None, 2, 2, 3, name="pictures"), sums),
        "input 'pictures': float32 [?, 2, 2, 3]",
    ),
    "integers": (
        (images_of(None, 2, 2, 3, dtype=tf.uint8), sums),
        "input 'images': uint8 [?, 2, 2, 3]",
    ),
    "two inputs": (
        (
            lambda: {**images_of(None, 2, 2, 3)(), "m": v1.placeholder(tf.float32, [])},
            lambda x: sums({"images": x["images"]}) * x["m"],
        ),
        "input 'images': float32 [?, 2, 2, 3], input 'm': float32 []",
    ),
    "no default": (
        (images_of(None, 2, 2, 3), lambda x: {"y": sums(x)}),
        "output 'y': float32 [?, 3]",
    ),
    "maps of features": (
        (images_of(None, 2, 2, 3), lambda x: tf.reduce_sum(x["images"], 1)),
        "output 'default': float32 [?, 2, 3]",
    ),
}


@pytest.mark.parametrize("case", [*NO_IMAGES, "free size"])
def test_modules_that_embed_no_images(case):
    free_size = (images_of(None, None, None, 3), sums), "image size: shape [?, ?, ?, 3]"
    signature, found = NO_IMAGES.get(case, free_size)
    spec = of_signature(*signature)
    for size in [None] if case == "free size" else [None, (2, 2)]:
        with pytest.raises(hub.SignatureError) as caught:
            hub.image_embedding_column("image", spec, image_size=size)
        assert str(caught.value) == (
            "Cannot make a feature column: the module is no image embedding.\n"
            "  In: module '(not published yet)', signature 'default'\n"
            "  Expected: only one input, 'images', float32, of known size, and an output "
            "'default', float32 [?, dim] with a known dim\n"
            f"  Found: {found}\n"
            "  What to do: pass image_size=(height, width) if that is all it lacks; else apply "
            "the module as hub.Module or hub.ModuleLayer, which take any signature"
        )


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((None, 2, 2, 1), None),
        ((5, 2, 2, 3), None),
        ((None, None, None, 3), (2, 2)),
        (None, (2, 2)),
    ],
)
def test_modules_that_common_signatures_leave_out(shape, size):
    inputs = lambda: {"images": v1.placeholder(tf.float32, shape)}  # noqa: E731
    spec = of_signature(inputs, lambda x: tf.ensure_shape(sums(x) * tf.ones([1, 3]), [None, 3]))
    assert hub.image_embedding_column("image", spec, image_size=size).variable_shape == [3]


@pytest.mark.parametrize("combiner", ["max", "Mean", None])
def test_no_such_combiner(combiner, texts):
    with pytest.raises(hub.InputError) as caught:
        hub.sparse_text_embedding_column("words", texts, combiner, None)
    assert str(caught.value) == (
        "Cannot make a feature column of texts: there is no such combiner.\n"
        "  In: module '(not published yet)'\n"
        "  Expected: combiner 'mean', 'sqrtn' or 'sum'\n"
        f"  Found: {combiner!r}\n"
        "  What to do: pass one of these as combiner=..."
    )


def test_no_module(tmp_path):
    with pytest.raises(OSError, match="there is no such directory"):
        hub.text_embedding_column("text", tmp_path / "none")
