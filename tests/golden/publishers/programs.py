"""What publishers' scripts did, in small: python programs.py > facts.jsonl.

Each program writes a module the way that kind of script does. What is printed, of each:
what lies in its folder, and what the module computes when it is read back.
"""

import json
import os
import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub
from tensorflow.core.protobuf import saved_model_pb2

v1 = tf.compat.v1
KEYS = v1.GraphKeys
PROGRAMS = {}


def program(*calls):
    """Registers a program with the calls (tags, signature, inputs) to make afterwards."""

    def register(function):
        PROGRAMS[function.__name__] = function, calls
        return function

    return register


# --- what they all do ---


def export(spec, path, tags=None, set_up=None, **kwargs):
    """Makes a Module in a graph of its own, and writes it."""
    with tf.Graph().as_default():
        module = hub.Module(spec, tags=tags, **kwargs)
        set_up = set_up(module) if set_up else v1.global_variables_initializer()
        with v1.Session() as session:
            session.run(*set_up if isinstance(set_up, tuple) else [set_up])
            module.export(path, session)


def checkpoint(build):
    """Saves a model whose n-th variable holds n, n + 0.1, n + 0.2 ... and a training step."""
    prefix = os.path.join(tempfile.mkdtemp(), "model.ckpt")
    with tf.Graph().as_default(), v1.Session() as session:
        build()
        v1.train.get_or_create_global_step()
        session.run(v1.global_variables_initializer())
        for number, variable in enumerate(v1.trainable_variables()):
            values = number + np.arange(variable.shape.num_elements()) / 10
            variable.load(values.reshape(variable.shape.as_list()), session)
        return v1.train.Saver().save(session, prefix)


def file_of(name, lines):
    path = os.path.join(tempfile.mkdtemp(), name)
    with open(path, "w") as stream:
        stream.writelines(f"{line}\n" for line in lines)
    return path


def ones(name, shape):
    return v1.get_variable(name, shape, initializer=v1.ones_initializer())


def placeholder(name, shape, dtype=tf.float32):
    return v1.placeholder(dtype, shape, name=name)


# --- the programs ---


@program((None, None, [3.0, 4.0]))
def half_plus_two(path):
    """A first module: variables that their initializers set."""

    def module_fn():
        a = v1.get_variable("a", shape=[], initializer=v1.constant_initializer(0.5))
        b = v1.get_variable("b", shape=[], initializer=v1.constant_initializer(2.0))
        x = v1.placeholder(tf.float32)
        hub.add_signature(inputs=x, outputs=a * x + b)

    export(hub.create_module_spec(module_fn), path)


@program((None, None, ["cat, dog", "", "mouse mouse.", "unheard-of"]))
def text_embedding(path):
    """Vectors come in through a feed, the vocabulary from a file that is gone afterwards."""
    vectors = np.array([[1, 2], [3, 4], [5, 6], [0, 0]])
    vocabulary = file_of("tokens.txt", ["cat", "dog", "mouse"])

    def module_fn():
        sentences = v1.placeholder(shape=[None], dtype=tf.string, name="sentences")
        text = tf.strings.regex_replace(input=sentences, pattern=r"\pP", rewrite="")
        tokens = v1.string_split(text, " ")
        embeddings = v1.get_variable(initializer=tf.zeros([4, 2]), name="embedding")
        lines = tf.lookup.TextFileInitializer(
            vocabulary,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        table = tf.lookup.StaticVocabularyTable(lines, 1)
        ids = tf.SparseTensor(tokens.indices, table.lookup(tokens.values), tokens.dense_shape)
        ids, _ = tf.sparse.fill_empty_rows(ids, table.lookup(tf.constant("")))
        combined = v1.nn.embedding_lookup_sparse(
            embeddings, tf.sparse.reset_shape(ids), sp_weights=None, combiner="sqrtn"
        )
        hub.add_signature("default", {"sentences": sentences}, {"default": combined})

    def fed(module):
        value = v1.placeholder(tf.float32)
        return v1.assign(module.variable_map["embedding"], value), {value: vectors}

    export(hub.create_module_spec(module_fn), path, set_up=fed)
    os.remove(vocabulary)


IDS = {"input_ids": [[1, 2], [3, 4]], "input_mask": [[1, 1], [1, 0]]}


@program(
    (None, "tokens", IDS),
    ({"train"}, "mlm", {**IDS, "mlm_positions": [[0], [1]]}),
)
def encoder(path):
    """As exporters of BERT: tags in a loop, files, a signature without inputs, a checkpoint."""

    def model(ids, mask, positions, is_training):
        with v1.variable_scope("bert"):
            table = v1.get_variable("embeddings/word_embeddings", [6, 4])
            x = tf.gather(table, ids)
            if is_training:
                x = tf.nn.dropout(x, rate=0.0)
            kernel = v1.get_variable("encoder/layer_0/kernel", [4, 4])
            x = tf.einsum("abc,cd->abd", x, kernel) * tf.cast(mask, tf.float32)[..., None]
            pooled = tf.tanh(x[:, 0] @ v1.get_variable("pooler/dense/kernel", [4, 4]) * 0.001)
        bias = v1.get_variable("cls/predictions/output_bias", [6])
        masked = tf.gather(x, positions, batch_dims=1)
        return x, pooled, tf.einsum("abc,dc->abd", masked, table) + bias

    def module_fn(is_training):
        ids, mask, positions = (
            placeholder(name, [None, None], tf.int32)
            for name in ("input_ids", "input_mask", "mlm_positions")
        )
        x, pooled, logits = model(ids, mask, positions, is_training)
        config_file, vocab_file = (
            tf.constant(value=file, dtype=tf.string, name=name)
            for name, file in (("config_file", config), ("vocab_file", vocabulary))
        )
        v1.add_to_collection(KEYS.ASSET_FILEPATHS, config_file)
        v1.add_to_collection(KEYS.ASSET_FILEPATHS, vocab_file)
        inputs = {"input_ids": ids, "input_mask": mask}
        outputs = {"sequence_output": x, "pooled_output": pooled}
        hub.add_signature(name="tokens", inputs=inputs, outputs=outputs)
        hub.add_signature(
            name="mlm",
            inputs={**inputs, "mlm_positions": positions},
            outputs={**outputs, "mlm_logits": logits},
        )
        hub.add_signature(
            name="tokenization_info",
            inputs={},
            outputs={"vocab_file": vocab_file, "do_lower_case": tf.constant(True)},
        )

    config = file_of("bert_config.json", ["{}"])
    vocabulary = file_of("vocab.txt", ["[PAD]", "a"])
    tags_and_args = []
    for is_training in (True, False):
        tags = set()
        if is_training:
            tags.add("train")
        tags_and_args.append((tags, {"is_training": is_training}))
    spec = hub.create_module_spec(module_fn, tags_and_args=tags_and_args)
    saved = checkpoint(lambda: model(*[tf.zeros([1, 1], tf.int32)] * 3, is_training=True))
    spec.export(path, checkpoint_path=saved)


Z = {"z": [[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]], "labels": [1, 2]}


@program(
    ({"gen", "bsNone"}, "generator", Z),
    (["bs2", "gen", "disc", "train"], "generator", Z),
    ({"train", "gen", "disc", "bsNone"}, "discriminator", {"images": [[1.0, 0.0, 2.0, 0.0]]}),
)
def gan(path):
    """Tags that name the networks and the batch size; moving averages are left out."""

    def module_fn(is_training, batch_size):
        z = placeholder("z", [batch_size, 3])
        labels = placeholder("labels", [batch_size], tf.int32)
        with v1.variable_scope("generator"):
            kernel = ones("fc/kernel", [3, 4])
            generated = z @ kernel + tf.cast(labels, tf.float32)[:, None]
            v1.train.ExponentialMovingAverage(0.9).apply([kernel])
        hub.add_signature(
            name="generator",
            inputs={"z": z, "labels": labels},
            outputs={"generated": generated},
        )
        if not is_training:
            return
        images = placeholder("images", [batch_size, 4])
        with v1.variable_scope("discriminator"):
            kernel = ones("kernel", [4, 1])
            v1.add_to_collection(KEYS.REGULARIZATION_LOSSES, tf.reduce_sum(kernel**2))
        hub.add_signature("discriminator", {"images": images}, {"prediction": images @ kernel})

    tags_and_args = []
    for batch_size in (None, 2):
        arguments = {"batch_size": batch_size}
        tags_and_args += [
            ({"gen", f"bs{batch_size}"}, {"is_training": False, **arguments}),
            ({"train", "gen", "disc", f"bs{batch_size}"}, {"is_training": True, **arguments}),
        ]
    spec = hub.create_module_spec(
        module_fn, tags_and_args=tags_and_args, drop_collections=[KEYS.MOVING_AVERAGE_VARIABLES]
    )
    export(spec, path, {"gen", "disc", "train", "bsNone"}, name="gan", trainable=True)


IMAGES = np.arange(2 * 4 * 3 * 3, dtype=np.float32).reshape(2, 4, 3, 3) / 72


@program(
    (None, "image_feature_vector", {"images": IMAGES}),
    (None, None, IMAGES),
    (["train"], "image_classification", {"images": IMAGES}),
)
def image_network(path):
    """Tags in lists, all by position, endpoints with any name, a declared image size."""

    def module_fn(is_training):
        info = hub.ImageModuleInfo()
        size = info.default_image_size
        size.height, size.width = 4, 3
        images = placeholder("images", [None, 4, 3, 3])
        hub.attach_image_module_info(info)
        v1.train.get_or_create_global_step()
        l2 = lambda kernel: 0.1 * tf.reduce_sum(kernel**2)  # noqa: E731
        kernel = v1.get_variable(
            "conv/kernel", [3, 3, 3, 2], initializer=v1.ones_initializer(), regularizer=l2
        )
        net = tf.nn.conv2d(images * 2.0 - 1.0, kernel, 1, "SAME")
        moving = [
            v1.get_variable(f"norm/{name}", [2], initializer=start, trainable=False)
            for name, start in (
                ("moving_mean", v1.zeros_initializer()),
                ("moving_variance", v1.ones_initializer()),
            )
        ]
        for variable in moving:
            v1.add_to_collection("moving_vars", variable)
        if is_training:
            moments = tf.nn.moments(net, [0, 1, 2])
            for variable, now in zip(moving, moments):  # noqa: B905
                update = v1.assign(variable, 0.9 * variable + 0.1 * now)
                v1.add_to_collection(KEYS.UPDATE_OPS, update)
        mean, variance = moments if is_training else moving
        net = (net - mean) * tf.math.rsqrt(variance + 0.001)
        pooled = tf.reduce_max(net, [1, 2])
        logits = pooled @ ones("logits/kernel", [2, 3])
        ends = {"Conv/Relu:0": net, "global_pool": pooled, "Network/Logits": logits}
        images = {"images": images}
        hub.add_signature("image_feature_vector", images, dict(ends, default=pooled))
        hub.add_signature("image_classification", images, dict(ends, default=logits))
        hub.add_signature("default", images, {"default": logits})

    tags_and_args = [([], {"is_training": False}), (["train"], {"is_training": True})]
    drop_collections = ["moving_vars", KEYS.GLOBAL_STEP, KEYS.MOVING_AVERAGE_VARIABLES]
    export(hub.create_module_spec(module_fn, tags_and_args, drop_collections), path)


STATE = {"state/core/0": [[1.0, 2.0]], "state/core/1": [[3.0, 4.0]]}


@program((None, "initial_state", None), (None, "step", {"observation": [[1.0, 1.0]], **STATE}))
def agent(path):
    """Structures as names with slashes, a signature without inputs, other names saved."""

    def module_fn():
        state = {"core/0": tf.zeros([1, 2]), "core/1": tf.ones([1, 2])}
        hub.add_signature("initial_state", outputs=state)
        observation = placeholder("observation", [1, 2])
        given = {f"state/{key}": v1.placeholder(tf.float32, [1, 2]) for key in state}
        kernel = v1.get_variable("kernel", [2, 2])
        v1.add_to_collection("sonnet", kernel.name)
        hub.add_signature(
            "step",
            inputs=dict(given, observation=observation),
            outputs=dict({k: v + 1 for k, v in given.items()}, action=observation @ kernel),
        )

    spec = hub.create_module_spec(module_fn, drop_collections=["sonnet"])
    saved = checkpoint(lambda: v1.get_variable("agent/kernel", [2, 2]))
    spec.export(path, checkpoint_path=saved, name_transform_fn=lambda name: f"agent/{name}")


@program((None, None, {"images": [[1.0, 2.0]]}), (None, "decoder", {"codes": [[1, 2, 3]]}))
def autoencoder(path):
    """Networks that share variables by reuse; what training collects is left out."""

    def module_fn(is_training):
        with v1.variable_scope(v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
            images = v1.placeholder(tf.float32, [None, 2])
            encoded = images @ ones("encoder", [2, 3])
            v1.summary.scalar("loss", tf.reduce_mean(encoded))
            v1.losses.add_loss(tf.constant(1.0) if is_training else tf.constant(0.0))
            hub.add_signature(inputs={"images": images}, outputs=encoded)
            codes = v1.placeholder(tf.float32, [None, encoded.get_shape()[1]])
            hub.add_signature("decoder", {"codes": codes}, codes @ ones("decoder", [3, 2]))
            again = v1.placeholder(tf.float32, [None, 2])
            decoded = again @ ones("encoder", [2, 3]) @ ones("decoder", [3, 2])
            hub.add_signature("reconstructions", {"images": again}, {"images": decoded})

    variants = [({"train"}, {"is_training": True}), (set(), {"is_training": False})]
    spec = hub.create_module_spec(module_fn, variants, drop_collections=["losses", "summaries"])
    saved = checkpoint(lambda: (ones("encoder", [2, 3]), ones("decoder", [3, 2])))
    spec.export(path, checkpoint_path=saved)


@program((None, None, {"magnitude": [1.0, 2.0], "radius": [3.0, 4.0]}))
def generator(path):
    """A module made of two that were published, with the messages of one of them."""

    def decoder_fn():
        x = v1.placeholder(tf.float32, [None, 2])
        hub.add_signature(inputs=x, outputs=x * v1.get_variable("scale", initializer=3.0))
        hub.attach_message("stamp_size", v1.train.Int64List(value=[32]))

    def flow_fn():
        y = {name: v1.placeholder(tf.float32, [None]) for name in ("magnitude", "radius")}
        codes = tf.stack([y["magnitude"], y["radius"]], 1)
        hub.add_signature(inputs=y, outputs=codes + v1.get_variable("shift", initializer=1.0))

    parts = [os.path.join(tempfile.mkdtemp(), "module") for _ in range(2)]
    for module_fn, part in zip((decoder_fn, flow_fn), parts):  # noqa: B905
        export(hub.create_module_spec(module_fn), part)

    def generator_fn():
        decoder, code = hub.Module(parts[0]), hub.Module(parts[1])
        infos = code.get_input_info_dict()
        inputs = {k: v1.placeholder(tf.float32, shape=infos[k].get_shape()) for k in infos}
        hub.add_signature(inputs=inputs, outputs=decoder(code(inputs)))
        message = decoder.get_attached_message("stamp_size", v1.train.Int64List)
        hub.attach_message("stamp_size", message)

    export(hub.create_module_spec(generator_fn), path, name="flow_module")


@program((None, "mdl", v1.SparseTensorValue([[0, 0], [0, 2], [1, 1]], [1, 1, 2], [2, 3])))
def calibrator(path):
    """A sparse input of any shape, a signature of another name that comes last."""

    def module_fn():
        x = v1.sparse_placeholder(tf.float32)
        kernel = v1.get_variable("kernel", initializer=[[1.0], [2.0], [3.0]])
        calibrated = v1.sparse_tensor_dense_matmul(x, kernel)
        hub.add_signature(inputs=x, outputs=calibrated, name="mdl")

    export(hub.create_module_spec(module_fn), path)


@program((["serve"], "serving_default", np.vstack([[1.0, 2.0, 3.0]])))
def saved_model(path):
    """A trained session, saved for serving; then that as a module."""
    folder = os.path.join(tempfile.mkdtemp(), "saved_model")
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3])
        kernel = v1.get_variable("dense/kernel", initializer=[[1.0], [2.0], [3.0]])
        v1.train.get_or_create_global_step()
        v1.add_to_collection("saved_model_train_op", tf.no_op(name="train"))
        signature = v1.saved_model.signature_def_utils.predict_signature_def(
            inputs={"default": x}, outputs={"default": x @ kernel}
        )
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(folder)
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    spec = hub.create_module_spec_from_saved_model(
        folder, drop_collections=["saved_model_train_op"]
    )
    export(spec, path, tags=["serve"])


# --- what they left ---


def run(name, path):
    """Runs a program; returns the facts about what it wrote to ``path``."""
    write, calls = PROGRAMS[name]
    write(path)
    return {
        "variants": sorted(map(_variant, _saved_model(path).meta_graphs), key=str),
        "assets": {name: _content(path, name) for name in _assets(path)},
        "variables": _variables(path),
        "results": [_result(path, *call) for call in calls],
    }


def _saved_model(path):
    with open(os.path.join(path, "saved_model.pb"), "rb") as stream:
        return saved_model_pb2.SavedModel.FromString(stream.read())


def _variant(meta_graph):
    collections = meta_graph.collection_def
    kinds = {name: collections[name].WhichOneof("kind") for name in collections}
    return {
        "tags": sorted(meta_graph.meta_info_def.tags),
        "collections": {
            name: len(getattr(collections[name], kind).value)
            for name, kind in sorted(kinds.items())
        },
        "signatures": {
            name: {
                side: {key: _tensor(info) for key, info in sorted(getattr(found, side).items())}
                for side in ("inputs", "outputs")
            }
            for name, found in sorted(meta_graph.signature_def.items())
        },
    }


def _tensor(info):
    shape = info.tensor_shape
    sizes = None if shape.unknown_rank else [dim.size for dim in shape.dim]
    return [info.WhichOneof("encoding"), tf.as_dtype(info.dtype).name, sizes]


def _assets(path):
    folder = os.path.join(path, "assets")
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def _content(path, name):
    with open(os.path.join(path, "assets", name)) as stream:
        return stream.read()


def _variables(path):
    prefix = os.path.join(path, "variables", "variables")
    if not os.path.exists(f"{prefix}.index"):
        return {}
    reader = tf.train.load_checkpoint(prefix)
    return {name: reader.get_tensor(name).tolist() for name, _ in tf.train.list_variables(prefix)}


def _result(path, tags, signature, inputs):
    with hub.eval_function_for_module(path, tags=tags) as f:
        outputs = f(inputs, signature=signature, as_dict=True)
    return {name: value.tolist() for name, value in sorted(outputs.items())}


if __name__ == "__main__":
    v1.logging.set_verbosity(v1.logging.ERROR)
    for name in PROGRAMS:
        found = run(name, os.path.join(tempfile.mkdtemp(), name))
        print(json.dumps({"program": name, **found}, sort_keys=True))
