"""Collections list what they should, or the module is refused: no session stumbles over them."""

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.handmade import KEYS, Handmade

NODES = (KEYS.ASSET_FILEPATHS, KEYS.REGULARIZATION_LOSSES, KEYS.TABLE_INITIALIZERS, KEYS.UPDATE_OPS)
MESSAGES = (
    KEYS.COND_CONTEXT,
    KEYS.GLOBAL_VARIABLES,
    KEYS.MODEL_VARIABLES,
    KEYS.TRAINABLE_VARIABLES,
    KEYS.WHILE_CONTEXT,
)
VALUES = {
    "node_list": ["y"],
    "bytes_list": [b"\x08" * 100],
    "int64_list": [1],
    "float_list": [1.0],
}
WORDS = {
    "node_list": "names of nodes",
    "bytes_list": "serialized messages",
    "int64_list": "a list of another kind, int64_list",
    "float_list": "a list of another kind, float_list",
    "any_list": "a list of another kind, any_list",
}
CASES = [
    (key, kind)
    for key in (*NODES, *MESSAGES)
    for kind in WORDS
    if kind != ("node_list" if key in NODES else "bytes_list")
]


def with_collection(key, kind):
    module = Handmade()
    values = getattr(module.meta_graph.collection_def[key], kind).value
    if kind == "any_list":
        values.add().Pack(module.meta_graph.meta_info_def)
    else:
        values.extend(VALUES[kind])
    return module.spec()


def in_session(spec):
    with tf.Graph().as_default():
        hub.Module(spec, trainable=True)(1.0)


@pytest.mark.parametrize(("key", "kind"), CASES)
def test_another_kind(key, kind):
    spec = with_collection(key, kind)
    for use in (hub.ModuleLayer, hub.load, in_session):
        with pytest.raises(hub.FormatError) as caught:
            use(spec)
        text = str(caught.value)
        assert f"Cannot read collection {key!r} of a TF1 Hub module: it lists other things" in text
        wanted = "names of nodes" if key in NODES else "serialized messages"
        assert f"Expected: {wanted}" in text
        assert f"Found: {WORDS[kind]}" in text
        assert "handmade" in text


@pytest.mark.parametrize("key", [*NODES, *MESSAGES])
def test_an_empty_list_is_of_any_kind(key):
    module = Handmade()
    module.meta_graph.collection_def[key].SetInParent()
    assert hub.ModuleLayer(module.spec())(2.0).numpy() == 2.0


def test_others_may_list_what_they_want():
    module = Handmade()
    module.meta_graph.collection_def["mine"].int64_list.value.append(3)
    assert hub.ModuleLayer(module.spec())(2.0).numpy() == 2.0
    in_session(module.spec())
