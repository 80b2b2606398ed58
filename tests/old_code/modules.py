"""Modules that the programs use: what is published, small, under names as public modules have.

Each function is a ``module_fn`` but for its first argument, the library.
"""

import contextlib
import functools

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


# --- making and running ---


def spec(hub, module_fn, **kwargs):
    return hub.create_module_spec(functools.partial(module_fn, hub), **kwargs)


def published(hub, module_fn, path, tags=None, **kwargs):
    """The module in a folder, with the values of its initializers."""
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(spec(hub, module_fn, **kwargs), tags=tags)
        started(session)
        module.export(str(path), session)
    return str(path)


@contextlib.contextmanager
def new_session():
    """A session, the default one, of a graph of its own."""
    with tf.Graph().as_default(), v1.Session() as session:
        yield session


def started(session):
    session.run([v1.global_variables_initializer(), v1.tables_initializer()])
    return session


def nodes(graph, start=""):
    """Names and types."""
    return sorted(
        f"{op.name} {op.type}" for op in graph.get_operations() if op.name.startswith(start)
    )


def control_inputs(graph):
    """Name -> what has to run before, of nodes that wait for some."""
    return {
        op.name: sorted(c.name for c in op.control_inputs)
        for op in graph.get_operations()
        if op.control_inputs
    }


def collections(graph):
    """Collection -> how many are in it, or their names where they have one."""
    return {
        str(key): sorted(
            getattr(each, "name", type(each).__name__) for each in graph.get_collection(key)
        )
        for key in sorted(map(str, graph.get_all_collection_keys()))
    }


@contextlib.contextmanager
def control_flow_v1():
    """Loops and conditions as graphs had them before TensorFlow 2."""
    enabled = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        yield
    finally:
        if enabled:
            v1.enable_control_flow_v2()


def vocabulary(folder, *words):
    path = folder / "vocab.txt"
    path.write_text("".join(f"{word}\n" for word in words))
    return str(path)


# --- modules ---


def half_plus_two(hub):
    """No variables, and constants of the names that converted inputs get."""
    x = v1.placeholder(tf.float32, [None], name="x")
    hub.add_signature(inputs=x, outputs=x * tf.constant(0.5) + tf.constant(2.0))


def dense(hub, trainable_losses=True):
    """Two layers; what is between them and beside them is in no signature."""
    x = v1.placeholder(tf.float32, [None, 2], name="features")
    with v1.variable_scope("layer_0"):
        kernel = v1.get_variable("kernel", initializer=[[1.0, -1.0], [0.5, 2.0]])
        hidden = tf.nn.relu(tf.matmul(x, kernel), name="hidden")
        tf.nn.softmax(hidden, name="attention")
    with v1.variable_scope("layer_1"):
        bias = v1.get_variable("bias", initializer=[0.25])
        out = tf.add(tf.reduce_sum(hidden, 1, keepdims=True), bias, name="out")
    if trainable_losses:
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.reduce_sum(kernel**2))
    hub.add_signature(inputs=x, outputs={"default": out, "hidden": hidden})
    hub.add_signature("layers", inputs={"images": x}, outputs={"first": hidden, "last": out})


def batch_normalized(hub, is_training=False):
    """The variants of image modules: the moving mean follows the batches in training."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    gamma = v1.get_variable("bn/gamma", initializer=[1.0, 2.0])
    mean = v1.get_variable("bn/moving_mean", initializer=[0.0, 0.0], trainable=False)
    if is_training:
        batch_mean = tf.reduce_mean(x, 0)
        update = v1.assign(mean, 0.9 * mean + 0.1 * batch_mean)
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update.op)
        out = gamma * (x - batch_mean)
    else:
        out = gamma * (x - mean)
    hub.add_signature(inputs=x, outputs=out)


TRAIN_AND_EVAL = [(set(), {"is_training": False}), ({"train"}, {"is_training": True})]


def bert(hub, vocab_file, is_training=False):
    """BERT's interface: tokens, and the vocabulary by a signature without inputs."""
    ids, mask, segments = (
        v1.placeholder(tf.int32, [None, None], name=name)
        for name in ("input_ids", "input_mask", "segment_ids")
    )
    with v1.variable_scope("bert"):
        with v1.variable_scope("embeddings"):
            words = v1.get_variable(
                "word_embeddings", initializer=np.arange(8, dtype=np.float32).reshape(4, 2) / 8
            )
            kinds = v1.get_variable("token_type_embeddings", initializer=[[0.5, 0.0], [0.0, 0.5]])
            embedded = tf.gather(words, ids) + tf.gather(kinds, segments)
        with v1.variable_scope("encoder/layer_0/attention"):
            query = v1.get_variable("query/kernel", initializer=[[1.0, 0.5], [-0.5, 1.0]])
            scores = tf.einsum("bid,de,bje->bij", embedded, query, embedded)
            scores += -10000.0 * (1.0 - tf.cast(mask[:, tf.newaxis, :], tf.float32))
            attention = tf.nn.softmax(scores, name="attention_probs")
            sequence = tf.matmul(attention, embedded)
            if is_training:
                sequence = tf.multiply(sequence, 2.0, name="dropout")
        with v1.variable_scope("pooler/dense"):
            kernel = v1.get_variable("kernel", initializer=[[1.0, 0.0], [1.0, -1.0]])
            pooled = tf.tanh(tf.matmul(sequence[:, 0], kernel))
    hub.add_signature(
        "tokens",
        inputs={"input_ids": ids, "input_mask": mask, "segment_ids": segments},
        outputs={"sequence_output": sequence, "pooled_output": pooled},
    )
    hub.add_signature(
        "mlm",
        inputs={"input_ids": ids, "input_mask": mask, "segment_ids": segments},
        outputs={"mlm_logits": tf.einsum("bid,vd->biv", sequence, words)},
    )
    vocab = tf.constant(vocab_file, name="vocab_file")
    v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, vocab)
    hub.add_signature(
        "tokenization_info", outputs={"vocab_file": vocab, "do_lower_case": tf.constant(True)}
    )


def published_bert(hub, folder):
    module_fn = functools.partial(
        bert, vocab_file=vocabulary(folder, "[CLS]", "[SEP]", "un", "##do")
    )
    return published(hub, module_fn, folder / "bert", tags_and_args=TRAIN_AND_EVAL)


TOKENS = {
    "input_ids": [[1, 2, 3], [3, 0, 0]],
    "input_mask": [[1, 1, 1], [1, 0, 0]],
    "segment_ids": [[0, 0, 1], [0, 0, 0]],
}


def text_embedding(hub, vocab_file, trainable=True):
    """As the nnlm and swivel modules: sentences, a vocabulary with a bucket, mean of words."""
    sentences = v1.placeholder(tf.string, [None], name="sentences")
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            vocab_file,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        1,
    )
    embeddings = v1.get_variable(
        "embeddings", initializer=[[1.0, 0.0], [0.0, 2.0], [-1.0, -1.0]], trainable=trainable
    )
    words = v1.string_split(sentences)
    ids = tf.sparse.map_values(table.lookup, words)
    combined = tf.nn.embedding_lookup_sparse(embeddings, ids, None, combiner="mean")
    hub.add_signature(inputs=sentences, outputs=combined)


def published_text_embedding(hub, folder):
    module_fn = functools.partial(text_embedding, vocab_file=vocabulary(folder, "cat", "dog"))
    return published(hub, module_fn, folder / "embedding")


def elmo(hub):
    """ELMo's interface, with an LSTM-like loop of the control flow of then."""

    def encode(tokens, lengths):
        with v1.variable_scope("bilm", reuse=v1.AUTO_REUSE):
            char = v1.get_variable("char_embed", initializer=[0.5, 0.25])
            kernel = v1.get_variable("RNN/kernel", initializer=[[0.5, 0.0], [0.1, 0.5]])
        sizes = tf.cast(tf.strings.length(tokens), tf.float32)
        embedded = sizes[..., tf.newaxis] * char
        steps = tf.shape(embedded)[1]
        states = tf.TensorArray(tf.float32, steps)
        with control_flow_v1():
            _, _, states = v1.while_loop(
                lambda i, *_: i < steps,
                lambda i, state, states: (
                    i + 1,
                    (new := tf.tanh(tf.matmul(state, kernel) + embedded[:, i])),
                    states.write(i, new),
                ),
                (0, tf.zeros_like(embedded[:, 0]), states),
            )
        outputs = tf.transpose(states.stack(), [1, 0, 2])
        kept = tf.sequence_mask(lengths, steps, tf.float32)[..., tf.newaxis]
        scale = v1.get_variable("aggregation/scaling", initializer=1.0)
        return {
            "word_emb": embedded,
            "elmo": scale * outputs * kept,
            "default": tf.reduce_mean(outputs * kept, 1),
        }

    text = v1.placeholder(tf.string, [None], name="text")
    with v1.variable_scope("", reuse=v1.AUTO_REUSE):
        words = tf.RaggedTensor.from_sparse(v1.string_split(text))
        hub.add_signature(
            inputs={"strings": text}, outputs=encode(words.to_tensor(), words.row_lengths())
        )
        tokens = v1.placeholder(tf.string, [None, None], name="tokens")
        lengths = v1.placeholder(tf.int32, [None], name="sequence_len")
        hub.add_signature(
            "tokens",
            inputs={"tokens": tokens, "sequence_len": lengths},
            outputs=encode(tokens, lengths),
        )


def sentence_encoder_lite(hub, spm_file):
    """As the lite sentence encoder: ids in the parts of a sparse tensor, a path by ``spm_path``."""
    values = v1.placeholder(tf.int64, [None], name="values")
    indices = v1.placeholder(tf.int64, [None, 2], name="indices")
    dense_shape = v1.placeholder(tf.int64, [2], name="dense_shape")
    embeddings = v1.get_variable("Embeddings", initializer=[[1.0], [2.0], [4.0], [8.0]])
    ids = tf.SparseTensor(indices, values, dense_shape)
    out = tf.nn.embedding_lookup_sparse(embeddings, ids, None, combiner="sqrtn")
    hub.add_signature(
        inputs={"values": values, "indices": indices, "dense_shape": dense_shape}, outputs=out
    )
    path = tf.constant(spm_file)
    v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
    hub.add_signature("spm_path", outputs=path)


def generator(hub, batch_size=None):
    """A GAN's: a noise, a label, an optional truncation; gives images."""
    z = v1.placeholder(tf.float32, [batch_size, 2], name="z")
    y = v1.placeholder(tf.float32, [batch_size, 3], name="y")
    truncation = v1.placeholder_with_default(1.0, [], name="truncation")
    with v1.variable_scope("Generator"):
        kernel = v1.get_variable(
            "G_Z/G_linear/w", initializer=np.linspace(-1, 1, 20).reshape(5, 4).astype(np.float32)
        )
        u = v1.get_variable("G_Z/G_linear/u0", initializer=[1.0, 2.0], trainable=False)
        images = tf.tanh(tf.reshape(tf.concat([z * truncation * u, y], 1) @ kernel, [-1, 2, 2, 1]))
    hub.add_signature(inputs={"z": z, "y": y, "truncation": truncation}, outputs=images)
    hub.add_signature("info", outputs={"z_dim": tf.constant(2), "u": tf.identity(u)})


GAN_VARIANTS = [({"gen", f"bs{size}"}, {"batch_size": size}) for size in (None, 2)]


def image_features(hub):
    """An image classifier's two signatures, with the size of its images attached."""
    images = v1.placeholder(tf.float32, [None, 2, 2, 3], name="images")
    info = hub.ImageModuleInfo()
    info.default_image_size.height = info.default_image_size.width = 2
    hub.attach_image_module_info(info)
    _signatures_of_images(hub, images)


def sized_images(hub):
    """As before; the size is only in the input's shape."""
    _signatures_of_images(hub, v1.placeholder(tf.float32, [None, 2, 2, 3], name="images"))


def _signatures_of_images(hub, images):
    with v1.variable_scope("Net"):
        kernel = v1.get_variable(
            "Conv/weights", initializer=np.linspace(0, 1, 12).reshape(2, 2, 3, 1).astype(np.float32)
        )
        features = tf.nn.conv2d(images, kernel, strides=1, padding="VALID", name="Conv/Conv2D")
        vector = tf.reshape(features, [-1, 1], name="feature_vector")
        logits = tf.concat([vector, -vector], 1, name="Logits")
    hub.add_signature(
        "image_feature_vector",
        inputs={"images": images},
        outputs={"default": vector, "Net/Conv": features},
    )
    hub.add_signature(
        "image_classification", inputs={"images": images}, outputs={"default": logits}
    )
    hub.add_signature(inputs={"images": images}, outputs={"default": vector})


def referencing(hub):
    """Reference variables, as all were before TensorFlow 2."""
    x = v1.placeholder(tf.float32, [None], name="x")
    with v1.variable_scope("linear", use_resource=False):
        w = v1.get_variable("w", initializer=3.0)
        steps = v1.get_variable("steps", initializer=0, trainable=False)
    v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign_add(steps, 1))
    hub.add_signature(inputs=x, outputs=x * w)
    hub.add_signature("count", outputs=tf.identity(steps))


def partitioned(hub):
    ids = v1.placeholder(tf.int64, [None], name="ids")
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    table = v1.get_variable(
        "table", initializer=tf.constant(values), partitioner=v1.fixed_size_partitioner(3)
    )
    hub.add_signature(
        inputs=ids, outputs=v1.nn.embedding_lookup(table, ids, partition_strategy="div")
    )


def looping(hub):
    """A loop and a condition of old in one module, with a variable in both."""
    x = v1.placeholder(tf.float32, [], name="x")
    rate = v1.get_variable("rate", initializer=2.0)
    with control_flow_v1():
        power = v1.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, y * rate), (0, x))[1]
        out = v1.cond(power > 10.0, lambda: power - rate, lambda: power + rate)
    hub.add_signature(inputs=x, outputs=out)


def composites(hub):
    sparse = v1.sparse_placeholder(tf.float32, [None, 3], name="sparse")
    ragged = v1.ragged.placeholder(tf.int32, 1, [], name="ragged")
    hub.add_signature(
        inputs={"s": sparse, "r": ragged},
        outputs={
            "default": tf.sparse.reduce_sum(sparse, 1),
            "sparse": tf.sparse.map_values(tf.negative, sparse),
            "ragged": ragged + 1,
        },
    )
    hub.add_signature("sparse", inputs=sparse, outputs=tf.sparse.to_dense(sparse))
