"""Text in rows of bytes comes out as it went in."""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.facts.text_bytes import bytes_to_text

TEXTS = ["", "a", "größe", "日本", "a\x00b", "\x00", "\x01", "ends\x01", "ends\x00\x00", "\x01\x00"]


def _back(rows):
    return [text.decode() for text in bytes_to_text(tf.constant(rows)).numpy().ravel().tolist()]


@pytest.mark.parametrize("length", [None, 40])
@pytest.mark.parametrize("make", [list, np.array, lambda t: np.array(t, object), tf.constant])
def test_round_trip(make, length):
    # NumPy's own text of fixed width has no zeros at its end.
    texts = [t for t in TEXTS if not t.endswith("\0")] if make is np.array else TEXTS
    rows = np.asarray(hub.text_to_bytes(make(texts), length))
    assert rows.dtype == np.uint8
    assert rows.shape == (len(texts), length or max(len(t.encode()) for t in texts) + 1)
    assert _back(rows) == texts


def test_bytes_that_are_no_utf_8():
    image = bytes(range(256)) * 2
    rows = hub.text_to_bytes([image, b"\xff\x00"])
    assert bytes_to_text(tf.constant(rows)).numpy().tolist() == [image, b"\xff\x00"]


def test_any_number_of_dimensions():
    assert hub.text_to_bytes("no").tolist() == [110, 111, 1]
    assert hub.text_to_bytes([["a", "b"], ["c", ""]]).shape == (2, 2, 2)
    assert hub.text_to_bytes([]).shape == (0, 1)
    rows = hub.text_to_bytes([["a", "b"], ["c", ""]])
    assert bytes_to_text(tf.constant(rows)).numpy().tolist() == [[b"a", b"b"], [b"c", b""]]
    assert bytes_to_text(tf.zeros([3, 0], tf.uint8)).numpy().tolist() == [b"", b"", b""]


def test_in_a_dataset():
    """Batches of one length have a shape that is known."""
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(5, drop_remainder=True)
    mapped = dataset.map(lambda text: hub.text_to_bytes(text, 30))
    assert mapped.element_spec.shape == [5, 30]
    assert [text for batch in mapped for text in _back(batch.numpy())] == TEXTS
    longest = dataset.map(hub.text_to_bytes)
    assert [text for batch in longest for text in _back(batch.numpy())] == TEXTS


def test_longer_than_its_row():
    with pytest.raises(hub.InputError) as caught:
        hub.text_to_bytes(["four"], 4)
    assert "at most 3 bytes, in rows of 4" in str(caught.value)
    assert "a text of 4 bytes" in str(caught.value)
    mapped = tf.data.Dataset.from_tensors(["four"]).map(lambda text: hub.text_to_bytes(text, 4))
    with pytest.raises(tf.errors.InvalidArgumentError, match="longer than its row of 4"):
        next(iter(mapped))


@pytest.mark.parametrize("value", [[1, 2], np.ones(2), tf.constant([1]), [None], ["a", 1]])
def test_what_is_no_text(value):
    with pytest.raises(hub.InputError, match="Cannot turn values into the bytes of a text"):
        hub.text_to_bytes(value)


def test_a_layer_takes_them_for_text():
    def module_fn():
        text = tf.compat.v1.placeholder(tf.string, [None])
        hub.add_signature(inputs=text, outputs=tf.strings.length(text))

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
    rows = hub.text_to_bytes(TEXTS)
    expected = layer(TEXTS).numpy().tolist()
    assert layer(rows).numpy().tolist() == expected
    assert tf.function(layer)(tf.constant(rows)).numpy().tolist() == expected
    with pytest.raises(hub.InputError, match="Cannot feed input 'default'"):
        layer(rows[None])
