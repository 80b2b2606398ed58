"""Publishes a text embedding from a file with one token and its vector per line.

The file is read twice. The first pass checks every line and writes the
vocabulary; only then is anything written to the target. The second pass writes
the vectors block by block into checkpoints, which TensorFlow joins: neither the
file nor the whole matrix is ever in memory, and none of it is in the graph.
"""

from __future__ import annotations

import os
import tempfile

import tensorflow as tf

from hub_keras_bridge.compat import tf_errors
from hub_keras_bridge.errors import PublishError
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.files.module_writing import write_module
from hub_keras_bridge.files.progress import Progress
from hub_keras_bridge.files.targets import require_no_module
from hub_keras_bridge.publishing.blocks import blocks_of, write_rows
from hub_keras_bridge.publishing.embedding_file import EmbeddingFile, Vocabulary
from hub_keras_bridge.publishing.module_fn import add_signature, create_module_spec

_VOCABULARY = "vocabulary.txt"


def publish_text_embedding(
    embedding_file: str | os.PathLike[str],
    export_path: str | os.PathLike[str],
    *,
    num_oov_buckets: int = 1,
    preprocess_text: bool = False,
    progress: Progress | None = None,
) -> Vocabulary:
    """Makes a TF1 Hub module from a file of embeddings.

    Each line of the file has a token and its numbers, separated by single
    spaces (GloVe's format). A first line of exactly two integers is taken for
    word2vec's header, number of tokens and dimension, and then must be true.
    A name in ``.gz`` means a gzip file.

    The module's signature ``"default"`` maps a batch of sentences (string
    ``[batch]``) to vectors (float32 ``[batch, dim]``). A sentence is split on
    spaces; the vectors of its tokens are summed and divided by the square root
    of their number (the ``"sqrtn"`` combiner). A sentence without tokens gives
    zeros. The vectors are one trainable variable, ``embeddings``.

    Args:
        embedding_file: path of the file.
        export_path: the directory to make; it may exist, without any file of a module.
        num_oov_buckets: number of rows, all zeros at first, that tokens
            outside the vocabulary share by their hash. With 0, such tokens are
            left out, as if the sentence did not have them.
        preprocess_text: whether to remove punctuation (Unicode category P)
            before splitting. Case is left alone, as in the file; tokens of the
            file that have punctuation in them are then out of reach.
        progress: told how many more bytes of the file were read; it is read
            twice.

    Returns:
        How many tokens there are, and how many numbers each has.

    Raises:
        PublishError: the file cannot be read or has broken lines; nothing was
            written.
        ExportError: the target is taken or cannot be written.

    Example:

    >>> import hub_keras_bridge as hub
    >>> folder = tempfile.mkdtemp()
    >>> file, path = os.path.join(folder, "animals.txt"), os.path.join(folder, "animals")
    >>> with open(file, "w") as stream:
    ...     _ = stream.write("cat 1.0 0.0\\ndog 0.0 2.0\\n")
    >>> vocabulary = publish_text_embedding(file, path)
    >>> vocabulary.tokens, vocabulary.dim
    (2, 2)
    >>> hub.ModuleLayer(path)(["dog", "cat cat cat cat", "unheard-of"]).numpy().tolist()
    [[0.0, 2.0], [2.0, 0.0], [0.0, 0.0]]
    """
    file = EmbeddingFile(os.fspath(embedding_file), progress)
    if num_oov_buckets < 0:
        raise PublishError(
            "Cannot publish a text embedding: the number of buckets is negative.",
            file.subject,
            expected="num_oov_buckets of 0 or more",
            found=str(num_oov_buckets),
            advice="pass 0 to leave tokens outside the vocabulary out",
        )
    # Known before a long reading.
    require_no_module(os.fspath(export_path), file.subject, kind=tf_errors.ExportError)
    with tempfile.TemporaryDirectory(prefix="hub_keras_bridge_") as folder:
        asset = os.path.join(folder, _VOCABULARY)
        vocabulary = file.check(asset)
        spec = _module_spec(vocabulary, asset, num_oov_buckets, preprocess_text)
        (facts,) = spec.variables
        blocks = blocks_of(file.vectors(vocabulary), vocabulary.dim, num_oov_buckets)
        write_module(
            os.fspath(export_path),
            spec.files,
            lambda prefix: write_rows(prefix, facts, blocks),
        )
    return vocabulary


def _module_spec(
    vocabulary: Vocabulary, asset: str, num_oov_buckets: int, preprocess_text: bool
) -> ModuleSpec:
    def module_fn() -> None:
        sentences = tf.compat.v1.placeholder(tf.string, [None], name="sentences")
        text = tf.strings.regex_replace(sentences, r"\pP", "") if preprocess_text else sentences
        tokens = tf.compat.v1.string_split(text, sep=" ", skip_empty=True)
        ids = _lookup(tokens.values, vocabulary, asset)
        if num_oov_buckets:
            bucket = tf.strings.to_hash_bucket_fast(tokens.values, num_oov_buckets)
            ids = tf.compat.v1.where(ids < 0, vocabulary.tokens + bucket, ids)
        known = ids >= 0
        variable = tf.compat.v1.get_variable(
            "embeddings",
            [vocabulary.tokens + num_oov_buckets, vocabulary.dim],
            initializer=tf.compat.v1.zeros_initializer(),
        )
        # Each row once, so that a training step touches only rows in use.
        distinct, rows = tf.unique(tf.boolean_mask(ids, known))
        # Of dtype int32, as TensorFlow 1 has it.
        sentence = tf.cast(tokens.indices[:, 0], tf.int32)
        vectors = tf.sparse.segment_sqrt_n(
            tf.gather(variable, distinct),
            rows,
            tf.boolean_mask(sentence, known),
            num_segments=tf.size(sentences),
        )
        add_signature(inputs={"sentences": sentences}, outputs=vectors)

    return create_module_spec(module_fn)


def _lookup(tokens: tf.Tensor, vocabulary: Vocabulary, asset: str) -> tf.Tensor:
    """The line numbers of tokens in the vocabulary file, -1 for other tokens.

    The table is made from raw ops, since tf.lookup would name it by the path of
    the publisher's file. In a TF1 graph tables of one name are one; this name
    is that of the content.
    """
    path = tf.constant(asset, name="vocabulary")
    table = tf.raw_ops.HashTableV2(
        key_dtype=tf.string, value_dtype=tf.int64, shared_name=f"vocabulary_{vocabulary.digest}"
    )
    filling = tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=table,
        filename=path,
        key_index=-2,  # the whole line
        value_index=-1,  # its number
        vocab_size=vocabulary.tokens,
    )
    tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.TABLE_INITIALIZERS, filling)
    tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.ASSET_FILEPATHS, path)
    absent = tf.constant(-1, tf.int64)
    ids = tf.raw_ops.LookupTableFindV2(table_handle=table, keys=tokens, default_value=absent)
    ids.set_shape(tokens.shape)
    return ids
