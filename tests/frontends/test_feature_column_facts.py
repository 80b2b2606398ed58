"""What feature columns tell of themselves: fields, names, shapes and configs."""

import copy
import pathlib

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.column_modules import images_fn, texts_fn

columns = tf.__internal__.feature_column


@pytest.fixture(scope="module")
def texts():
    return hub.create_module_spec(texts_fn)


@pytest.fixture(scope="module")
def images():
    return hub.create_module_spec(images_fn)


def test_paths_of_old_code():
    for name in ("text", "sparse_text", "image"):
        made_by = f"{name}_embedding_column"
        assert getattr(hub.feature_column, made_by) is getattr(hub, made_by)
    assert hub.feature_column_v2.text_embedding_column_v2 is hub.text_embedding_column_v2


@pytest.fixture
def of_text(publish):
    return hub.text_embedding_column("text", publish(texts_fn), trainable=True)


@pytest.fixture
def of_image(publish):
    return hub.image_embedding_column("image", publish(images_fn), image_size=(1, 2))


def test_facts(of_text, of_image, texts):
    of_words = hub.sparse_text_embedding_column("words", texts, "sum", None)
    assert of_text == ("text", of_text.module_spec_path, True)
    assert of_image == ("image", of_image.module_spec_path, (1, 2))
    assert of_words == ("words", "sum", texts, None, False)
    assert repr(of_text) == (
        f"_TextEmbeddingColumn(key='text', module_spec_path={of_text.module_spec_path!r}, "
        "trainable=True)"
    )
    assert type(of_image).__name__ == "_ImageEmbeddingColumn"
    assert type(of_words).__name__ == "_SparseTextEmbeddingColumn"
    for column, key, size in ((of_text, "text", 4), (of_image, "image", 3), (of_words, "words", 4)):
        assert column.name == f"{key}_hub_module_embedding"
        assert column.parents == [key]
        assert column.variable_shape == column._variable_shape == [size]
        assert column.parse_example_spec == column._parse_example_spec
        assert column.dtype == tf.float32
        assert column._is_v2_column
        assert isinstance(column, columns.DenseColumn)
    assert hub.get_expected_image_size(of_image.module_spec) == [1, 2]


def test_copies_are_equal(of_text, of_image):
    for column in (of_text, of_image):
        for copied in (copy.deepcopy(column), copy.copy(column), type(column)(*column)):
            assert copied == column
            assert {column: "found"}[copied] == "found"
            assert copied.variable_shape == column.variable_shape
    assert of_text != hub.text_embedding_column("text", of_text.module_spec_path)


def test_configs(of_text, of_image):
    assert of_text.get_config() == {
        "key": "text",
        "module_spec_path": of_text.module_spec_path,
        "trainable": True,
    }
    assert of_image.get_config() == {
        "key": "image",
        "module_spec_path": of_image.module_spec_path,
        "image_size": (1, 2),
    }
    for column in (of_text, of_image):
        config = columns.serialize_feature_column(column)
        known = {type(column).__name__: type(column)}
        assert columns.deserialize_feature_column(config, custom_objects=known) == column


def test_config_of_a_path(of_text):
    path = pathlib.Path(of_text.module_spec_path)
    column = hub.text_embedding_column("text", path)
    assert column.get_config()["module_spec_path"] == str(path)


def test_columns_without_a_config(texts, images):
    for column in (
        hub.text_embedding_column("text", texts),
        hub.image_embedding_column("image", images),
    ):
        with pytest.raises(NotImplementedError) as caught:
            column.get_config()
        assert str(caught.value) == (
            "Can only generate a config of a feature column made of a module's handle.\n"
            "  In: module '(not published yet)'\n"
            "  Expected: a handle as module_spec\n"
            "  Found: a ModuleSpec\n"
            "  What to do: export the module, and make the column of the path"
        )
        assert isinstance(caught.value, hub.ConfigError)
    with pytest.raises(hub.ConfigError) as caught:
        hub.sparse_text_embedding_column("words", texts, "sum", None).get_config()
    assert str(caught.value) == (
        "Can generate no config of a feature column of sparse texts.\n"
        "  In: module '(not published yet)'\n"
        "  What to do: make the column and its layer again, and load the weights into that"
    )
