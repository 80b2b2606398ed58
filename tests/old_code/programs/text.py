"""Texts: feature columns, vocabularies, tables."""

import tensorflow as tf

from old_code import modules
from old_code.modules import new_session, published, started
from old_code.registry import program

v1 = tf.compat.v1


@program
def a_column_of_texts(hub, folder):
    """The text classification tutorial's, without its estimator."""
    path = modules.published_text_embedding(hub, folder)
    with new_session() as session:
        column = hub.text_embedding_column("sentence", path)
        features = {"sentence": tf.constant(["cat", "dog bird"])}
        y = v1.feature_column.input_layer(features, [column])
        return [started(session).run(y), column.name, [v.name for v in v1.global_variables()]]


@program
def a_column_that_is_trained(hub, folder):
    path = modules.published_text_embedding(hub, folder)
    with new_session() as session:
        columns = [
            hub.text_embedding_column("sentence", path, trainable=True),
            tf.feature_column.numeric_column("length"),
        ]
        features = {
            "sentence": tf.constant([["cat"], ["dog"]]),
            "length": tf.constant([[1.0], [2.0]]),
        }
        y = v1.feature_column.input_layer(features, columns)
        train = v1.train.GradientDescentOptimizer(0.5).minimize(tf.reduce_sum(y**2))
        started(session).run(train)
        return [session.run(y), [v.name for v in v1.trainable_variables()]]


@program
def a_column_of_sparse_texts(hub, folder):
    path = modules.published_text_embedding(hub, folder)
    with new_session() as session:
        column = hub.sparse_text_embedding_column(
            "words", path, combiner="mean", default_value=None
        )
        words = tf.sparse.from_dense([["cat", "dog"], ["bird", ""], ["", ""]])
        y = v1.feature_column.input_layer({"words": words}, [column])
        return started(session).run(y)


@program
def a_column_of_images(hub, folder):
    path = published(hub, modules.image_features, folder / "m")
    with new_session() as session:
        column = hub.image_embedding_column("image", path)
        y = v1.feature_column.input_layer({"image": tf.ones([1, 2, 2, 3])}, [column])
        return [started(session).run(y), column.name]


@program
def two_columns_of_one_module(hub, folder):
    path = modules.published_text_embedding(hub, folder)
    with new_session() as session:
        columns = [hub.text_embedding_column(key, path) for key in ("title", "body")]
        features = {"title": tf.constant(["cat"]), "body": tf.constant(["dog"])}
        y = v1.feature_column.input_layer(features, columns)
        return [started(session).run(y), [v.name for v in v1.global_variables()]]


@program
def vocabularies_and_casing(hub, folder):
    """BERT's ``create_tokenizer_from_hub_module``, twice, in graphs of their own."""
    path = modules.published_bert(hub, folder)
    (folder / "vocab.txt").unlink()
    found = []
    for _ in range(2):
        with new_session() as session:
            info = hub.Module(path)(signature="tokenization_info", as_dict=True)
            vocab_file, lower = session.run([info["vocab_file"], info["do_lower_case"]])
            with open(vocab_file) as file:
                found.append([file.read(), bool(lower), info["vocab_file"].name])
    return found


@program
def assets_by_their_collection(hub, folder):
    path = modules.published_bert(hub, folder)
    with new_session() as session:
        module = hub.Module(path)
        module(modules.TOKENS, signature="tokens", as_dict=True)
        paths = session.run(v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS))
        return [each.decode().removeprefix(path) for each in paths]


@program
def tables_initialized_before_an_application(hub, folder):
    with new_session() as session:
        module = hub.Module(modules.published_text_embedding(hub, folder))
        init = v1.tables_initializer()
        session.run([v1.global_variables_initializer(), init])
        return session.run(module(["cat dog"]))


@program
def tables_under_scopes(hub, folder):
    path = modules.published_text_embedding(hub, folder)
    with new_session() as session:
        with tf.name_scope("outer"), v1.variable_scope("scope"):
            module = hub.Module(path, name="text")
            with tf.name_scope("inner"):
                y = module(["dog"])
        tables = [op.name for op in v1.get_collection(v1.GraphKeys.TABLE_INITIALIZERS)]
        return [started(session).run(y), tables, y.name]


@program
def two_modules_with_tables(hub, folder):
    """Of one name and one vocabulary: each has its own table."""
    path = modules.published_text_embedding(hub, folder)
    with new_session() as session:
        ys = [hub.Module(path)(["cat"]) for _ in range(2)]
        tables = [op.name for op in v1.get_collection(v1.GraphKeys.TABLE_INITIALIZERS)]
        return [started(session).run(ys), tables]


@program
def tables_without_files(hub, folder):
    """A table of pairs and one for names back; a mutable one is filled by the program."""

    def module_fn(hub):
        words = v1.placeholder(tf.string, [None], name="words")
        ids = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([1, 2], tf.int64)), -1
        )
        names = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant([1, 2], tf.int64), ["A", "B"]), "?"
        )
        found = ids.lookup(words)
        hub.add_signature(
            inputs=words, outputs={"default": names.lookup(found), "ids": found, "size": ids.size()}
        )

    path = published(hub, module_fn, folder / "m")
    with new_session() as session:
        outputs = hub.Module(path)(["b", "c"], as_dict=True)
        session.run(v1.tables_initializer())
        return [session.run(outputs), modules.collections(session.graph)]
