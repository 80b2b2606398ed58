"""Makes this folder with the original library: python publish.py FOLDER.

A module made of modules. Each of the two inner ones has a vocabulary of the same
base name, an embedding in three partitions, a v1 loop with a conditional in it,
a regularization loss, a variant for training with an update op, and an attached
message.
"""

import json
import pathlib
import sys

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub
from google.protobuf import wrappers_pb2

tf.compat.v1.disable_v2_behavior()
tf = tf.compat.v1

VOCABULARIES = {"first": ["red", "green", "blue"], "second": ["blue", "black", "red", "white"]}
WIDTH = 4
STEPS, RATE = 3, 0.3
TRAINING = {"train"}
VARIANTS = [(set(), {"training": False}), (TRAINING, {"training": True})]


def embedding(vocabulary, seed, training):
    """Words -> rows of a partitioned matrix, smoothed by a loop."""
    words = tf.placeholder(tf.string, [None], name="words")
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            vocabulary,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        num_oov_buckets=1,
    )
    matrix = tf.get_variable(
        "embedding",
        [7, WIDTH],
        initializer=tf.random_normal_initializer(seed=seed),
        partitioner=tf.fixed_size_partitioner(3),
    )
    rows = tf.nn.embedding_lookup(list(matrix), table.lookup(words), partition_strategy="div")
    mean = tf.get_variable("mean", [WIDTH], initializer=tf.zeros_initializer(), trainable=False)
    if training:
        batch_mean = tf.reduce_mean(rows, 0)
        update = tf.assign_sub(mean, 0.1 * (mean - batch_mean))
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
        mean = batch_mean
    kernel = tf.get_variable(
        "kernel", [WIDTH, WIDTH], initializer=tf.random_normal_initializer(0, 0.4, seed=seed + 1)
    )
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.01 * tf.reduce_sum(kernel**2))

    def step(i, x):
        small = tf.reduce_sum(x**2) < 3.0
        return i + 1, tf.cond(small, lambda: x + 0.5 * (x @ kernel), lambda: tf.tanh(x @ kernel))

    _, smooth = tf.while_loop(lambda i, x: i < 3, step, [0, rows - mean])
    hub.add_signature(inputs=words, outputs=tf.ensure_shape(smooth, [None, WIDTH]))
    hub.attach_message("made_with", wrappers_pb2.Int64Value(value=seed))


def mixture(paths, training):
    """Words -> the inner modules' outputs, mixed by weights of its own."""
    words = tf.placeholder(tf.string, [None], name="words")
    tags = TRAINING if training else set()
    modules = [hub.Module(path, trainable=True, name=name, tags=tags) for name, path in paths]
    parts = [module(words) for module in modules]
    weights = tf.get_variable("mix", initializer=[0.25, 0.75])
    mixed = tf.add_n([weights[i] * part for i, part in enumerate(parts)])
    hub.add_signature(inputs=words, outputs=mixed)
    hub.add_signature(
        "parts",
        {"words": words},
        {name: part for (name, _), part in zip(paths, parts, strict=True)},
    )
    hub.attach_message("made_of", wrappers_pb2.StringValue(value=", ".join(VOCABULARIES)))


def publish(spec, path):
    """Writes a spec's module with initial values."""
    with tf.Graph().as_default(), tf.Session() as session:
        module = hub.Module(spec)
        session.run(tf.global_variables_initializer())
        module.export(str(path), session)


def publish_all(folder):
    """The inner modules below a folder that is not kept, then the outer one."""
    paths = []
    for seed, (name, words) in enumerate(VOCABULARIES.items()):
        vocabulary = folder / "inner" / name / "tokens.txt"
        vocabulary.parent.mkdir(parents=True)
        vocabulary.write_text("\n".join(words) + "\n")
        given = {"vocabulary": str(vocabulary), "seed": 10 * seed}
        variants = [(tags, {**given, **arguments}) for tags, arguments in VARIANTS]
        publish(hub.create_module_spec(embedding, variants), folder / "inner" / f"{name}_module")
        paths.append((name, str(folder / "inner" / f"{name}_module")))
    variants = [(tags, {**arguments, "paths": paths}) for tags, arguments in VARIANTS]
    publish(hub.create_module_spec(mixture, variants), folder / "module")


def apply(folder, arrays):
    """Records calls of both variants and signatures."""
    words = np.array(["blue", "red", "grey", "white"], object)
    calls = []
    for tags in (set(), TRAINING):
        for signature, key in ((None, ""), ("parts", "words")):
            with tf.Graph().as_default(), tf.Session() as session:
                module = hub.Module(str(folder / "module"), tags=tags)
                given = tf.constant(words)
                outputs = module({key: given} if key else given, signature=signature, as_dict=True)
                session.run([tf.global_variables_initializer(), tf.tables_initializer()])
                found = session.run(outputs)
            prefix = f"apply{len(calls)}"
            arrays[f"{prefix}.in.{key}"] = words
            arrays.update({f"{prefix}.out.{name}": value for name, value in found.items()})
            calls.append(
                {
                    "tags": sorted(tags),
                    "signature": signature,
                    "single_input": not key,
                    "inputs": [key],
                    "outputs": sorted(found),
                }
            )
    return calls


def tune(folder, arrays):
    """Records gradient descent with the variant for training."""
    random = np.random.RandomState(0)
    words = np.array([*sorted({w for v in VOCABULARIES.values() for w in v}), "grey"], object)
    xs = random.choice(words, [STEPS, 6])
    ts = random.uniform(-1, 1, [STEPS, 6, WIDTH]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        module = hub.Module(str(folder / "module"), trainable=True, tags=TRAINING)
        x, t = tf.placeholder(tf.string, [None]), tf.placeholder(tf.float32, [None, WIDTH])
        losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
        regularization = tf.add_n(losses)
        loss = tf.reduce_mean((module(x) - t) ** 2) + regularization
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            train = tf.train.GradientDescentOptimizer(RATE).minimize(loss)
        trainable = [variable.op.name for variable in tf.trainable_variables()]
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        recorded = []
        for step in range(STEPS):
            feeds = {x: xs[step], t: ts[step]}
            recorded.append(session.run([loss, regularization], feeds))
            session.run(train, feeds)
        module.export(str(folder / "inner" / "tuned"), session)
        for name, parts in module.variable_map.items():
            values = session.run(parts)
            joined = np.concatenate(values) if isinstance(parts, list) else values
            arrays[f"tune.var.module/{name}:0"] = joined
    with tf.Graph().as_default(), tf.Session() as session:
        output = hub.Module(str(folder / "inner" / "tuned"))(tf.constant(xs[0]))
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        arrays["tune.eval"] = session.run(output)
    arrays["tune.x"], arrays["tune.t"] = xs, ts
    arrays["tune.losses"], arrays["tune.reg"] = np.array(recorded).T
    facts = {
        "dict_input": False,
        "lr": RATE,
        "steps": STEPS,
        "regularization_losses": len(losses),
        "tags": sorted(TRAINING),
    }
    return facts, trainable


def main(folder):
    """Publishes, records, writes."""
    publish_all(folder)
    arrays = {}
    calls = apply(folder, arrays)
    facts, trainable = tune(folder, arrays)
    oracle = {"apply": calls, "tune": facts, "trainable": sorted(trainable)}
    (folder / "oracle.json").write_text(json.dumps(oracle, indent=1, sort_keys=True) + "\n")
    np.savez_compressed(folder / "oracle.npz", **arrays)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
