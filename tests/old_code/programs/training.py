"""Training: what the loops of old scripts do."""

import re

import tensorflow as tf

from old_code import modules
from old_code.modules import new_session, published, spec, started
from old_code.registry import program

v1 = tf.compat.v1


def _loss_and_step(session, loss, train):
    """One after the other: a step may change reference variables before the loss has read them."""
    value = session.run(loss)
    session.run(train)
    return value


@program
def gradient_descent_with_losses(hub, folder):
    with new_session() as session:
        y = hub.Module(published(hub, modules.dense, folder / "m"), trainable=True)([[1.0, 2.0]])
        loss = tf.reduce_mean((y - 1.0) ** 2) + v1.losses.get_regularization_loss()
        train = v1.train.GradientDescentOptimizer(0.05).minimize(loss)
        started(session)
        losses = [_loss_and_step(session, loss, train) for _ in range(4)]
        return [losses, session.run(v1.trainable_variables())]


@program
def adam_with_a_global_step(hub, folder):
    with new_session() as session:
        y = hub.Module(spec(hub, modules.dense), trainable=True)([[1.0, 2.0]])
        step = v1.train.get_or_create_global_step()
        train = v1.train.AdamOptimizer(0.1).minimize(tf.reduce_sum(y), step)
        started(session)
        for _ in range(3):
            session.run(train)
        return [session.run(y), session.run(step), sorted(v.name for v in v1.global_variables())]


@program
def training_reference_variables(hub, folder):
    with new_session() as session:
        module = hub.Module(published(hub, modules.referencing, folder / "m"), trainable=True)
        y = module([1.0, 2.0])
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        with tf.control_dependencies(updates):
            train = v1.train.MomentumOptimizer(0.1, 0.9).minimize(tf.reduce_sum(y))
        count = module(signature="count")
        started(session)
        for _ in range(2):
            session.run(train)
        return [session.run(y), session.run(count), [u.name for u in updates]]


@program
def update_ops_of_one_scope(hub, folder):
    path = published(
        hub,
        modules.batch_normalized,
        folder / "m",
        tags={"train"},
        tags_and_args=modules.TRAIN_AND_EVAL,
    )
    with new_session() as session:
        module = hub.Module(path, tags={"train"}, trainable=True, name="net")
        y = module([[1.0, 2.0], [3.0, 6.0]])
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS, scope="net")
        with tf.control_dependencies(updates):
            y = tf.identity(y)
        started(session).run(y)
        return [session.run(module.variable_map), [u.name for u in updates]]


@program
def update_ops_of_two_applications(hub, folder):
    path = published(
        hub,
        modules.batch_normalized,
        folder / "m",
        tags={"train"},
        tags_and_args=modules.TRAIN_AND_EVAL,
    )
    with new_session() as session:
        module = hub.Module(path, tags={"train"}, trainable=True)
        module([[1.0, 2.0]])
        module([[10.0, 20.0]])
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        started(session)
        for update in updates:
            session.run(update)
        return [session.run(module.variables), [u.name for u in updates]]


@program
def a_frozen_module_gives_no_losses(hub, folder):
    with tf.Graph().as_default():
        module = hub.Module(spec(hub, modules.dense), trainable=False)
        module([[1.0, 2.0]])
        return [len(v1.losses.get_regularization_losses()), v1.trainable_variables()]


@program
def losses_of_two_applications(hub, folder):
    with new_session() as session:
        module = hub.Module(spec(hub, modules.dense), trainable=True)
        module([[1.0, 2.0]])
        module([[2.0, 1.0]])
        losses = v1.losses.get_regularization_losses()
        return [[loss.name for loss in losses], started(session).run(losses)]


@program
def clipped_gradients(hub, folder):
    with new_session() as session:
        y = hub.Module(modules.published_bert(hub, folder), trainable=True, tags={"train"})(
            modules.TOKENS, signature="tokens", as_dict=True
        )["pooled_output"]
        variables = v1.trainable_variables()
        gradients, norm = tf.clip_by_global_norm(tf.gradients(tf.reduce_sum(y), variables), 0.5)
        kinds = [type(gradient).__name__ for gradient in gradients]
        started(session)
        return [
            session.run(norm),
            kinds,
            session.run([tf.convert_to_tensor(g) for g in gradients]),
            [v.name for v in variables],
        ]


@program
def an_optimizer_by_hand(hub, folder):
    """As BERT's AdamW: slots made from each variable's name and shape, decay but for biases."""
    path = modules.published_bert(hub, folder)
    with new_session() as session:
        y = hub.Module(path, trainable=True)(modules.TOKENS, signature="tokens", as_dict=True)
        loss = tf.reduce_sum(y["pooled_output"])
        variables = v1.trainable_variables()
        gradients, _ = tf.clip_by_global_norm(v1.gradients(loss, variables), 1.0)
        updates = []
        for gradient, variable in zip(gradients, variables, strict=True):
            name = re.match("^(.*):\\d+$", variable.name).group(1)
            m = v1.get_variable(
                f"{name}/adam_m",
                shape=variable.shape.as_list(),
                dtype=tf.float32,
                trainable=False,
                initializer=v1.zeros_initializer(),
            )
            next_m = 0.9 * m + 0.1 * tf.convert_to_tensor(gradient)
            update = tf.sign(next_m) + (0.0 if "bias" in name else 0.01 * variable)
            updates += [variable.assign(variable - 0.1 * update), m.assign(next_m)]
        train = tf.group(*updates)
        started(session)
        for _ in range(2):
            session.run(train)
        return [session.run(y), [v.name for v in v1.global_variables()]]


@program
def bert_classifier(hub, folder):
    """The model function of run_classifier_with_tfhub, its vocabulary first."""
    path = modules.published_bert(hub, folder)
    with new_session() as session:
        module = hub.Module(path)
        info = module(signature="tokenization_info", as_dict=True)
        vocab_file, lower = session.run([info["vocab_file"], info["do_lower_case"]])
        with tf.io.gfile.GFile(vocab_file) as file:
            words = file.read().split()
    with new_session() as session:
        module = hub.Module(path, tags={"train"}, trainable=True)
        features = {key: tf.constant(value) for key, value in modules.TOKENS.items()}
        outputs = module(inputs=features, signature="tokens", as_dict=True)
        layer = outputs["pooled_output"]
        size = layer.shape[-1]
        weights = v1.get_variable(
            "output_weights", [3, size], initializer=v1.constant_initializer(0.1)
        )
        with v1.variable_scope("loss"):
            logits = tf.matmul(layer, weights, transpose_b=True)
            loss = -tf.reduce_mean(tf.nn.log_softmax(logits)[:, 0])
        optimizer = v1.train.GradientDescentOptimizer(1.0)
        train = optimizer.minimize(loss, gate_gradients=optimizer.GATE_GRAPH)
        started(session)
        losses = [_loss_and_step(session, loss, train) for _ in range(3)]
        return [
            words,
            bool(lower),
            int(size),
            losses,
            [v.name for v in v1.trainable_variables()],
            logits.name,
        ]


@program
def a_monitored_session_that_goes_on(hub, folder):
    """Stopped and started again from its own checkpoint."""
    path = modules.published_text_embedding(hub, folder)
    values = []
    for _ in range(2):
        with tf.Graph().as_default():
            step = v1.train.get_or_create_global_step()
            y = hub.Module(path, trainable=True)(["cat dog", "bird"])
            train = v1.train.GradientDescentOptimizer(0.5).minimize(tf.reduce_sum(y**2), step)
            with v1.train.MonitoredTrainingSession(
                checkpoint_dir=str(folder / "run"), log_step_count_steps=None
            ) as session:
                values.append([session.run([y, step])])
                session.run(train)
    names = [name for name, _ in tf.train.list_variables(str(folder / "run"))]
    return [values, names]


@program
def a_scaffold_with_its_own_saver(hub, folder):
    path = modules.published_text_embedding(hub, folder)
    with tf.Graph().as_default():
        module = hub.Module(path)
        y = module(["dog"])
        v1.train.get_or_create_global_step()
        scaffold = v1.train.Scaffold(saver=v1.train.Saver(module.variable_map))
        with v1.train.MonitoredSession(v1.train.ChiefSessionCreator(scaffold)) as session:
            return session.run(y)


@program
def gradients_for_inputs(hub, folder):
    with new_session() as session:
        x = v1.placeholder(tf.float32, [])
        y = hub.Module(published(hub, modules.looping, folder / "m"), trainable=True)(x)
        gradients = tf.gradients(y, [x, *v1.trainable_variables()])
        started(session)
        return [session.run([y, gradients], {x: value}) for value in (0.5, 2.0)]


@program
def second_derivatives(hub, folder):
    with new_session() as session:
        y = hub.Module(spec(hub, modules.generator), trainable=True)(
            {"z": [[0.5, 0.25]], "y": [[0.0, 0.0, 1.0]], "truncation": 1.0}
        )
        (w,) = v1.trainable_variables()
        (first,) = tf.gradients(tf.reduce_sum(y), w)
        started(session)
        return session.run(tf.gradients(tf.reduce_sum(first**2), w))


@program
def two_towers_of_one_module(hub, folder):
    """Siamese: one module applied to two inputs; gradients of both meet in its variables."""
    with new_session() as session:
        module = hub.Module(modules.published_text_embedding(hub, folder), trainable=True)
        left, right = module(["cat", "dog"]), module(["bird", "dog cat"])
        similarity = tf.reduce_sum(left * right, -1)
        gradient = tf.gradients(similarity, v1.trainable_variables())[0]
        started(session)
        return session.run([similarity, tf.convert_to_tensor(gradient)])


@program
def a_module_for_training_and_one_for_evaluation(hub, folder):
    """Two variants in two graphs, the weights handed over by a checkpoint."""
    path = published(
        hub,
        modules.batch_normalized,
        folder / "m",
        tags={"train"},
        tags_and_args=modules.TRAIN_AND_EVAL,
    )
    prefix = str(folder / "ckpt")
    with new_session() as session:
        y = hub.Module(path, tags={"train"}, trainable=True)([[1.0, 2.0], [3.0, 6.0]])
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            train = v1.train.GradientDescentOptimizer(0.1).minimize(
                tf.reduce_sum(y * [[0.0, 1.0], [1.0, 3.0]])
            )
        started(session).run(train)
        v1.train.Saver().save(session, prefix)
    with new_session() as session:
        y = hub.Module(path)([[1.0, 1.0]])
        v1.train.Saver().restore(session, prefix)
        return session.run(y)


@program
def retraining_an_image_classifier(hub, folder):
    """retrain.py: features by a placeholder_with_default, a new layer on top, then export."""
    path = published(hub, modules.image_features, folder / "m")
    with new_session() as session:
        module_spec = hub.load_module_spec(path)
        height, width = hub.get_expected_image_size(module_spec)
        images = v1.placeholder(tf.float32, [None, height, width, 3])
        bottleneck = hub.Module(module_spec)(images)
        (size,) = bottleneck.get_shape().as_list()[1:]
        features = v1.placeholder_with_default(
            bottleneck, [None, size], name="BottleneckInputPlaceholder"
        )
        ops = [node.op for node in session.graph.as_graph_def().node]
        quantized = any(op.startswith("FakeQuant") for op in ops)
        w = v1.get_variable("final/w", [size, 2], initializer=v1.constant_initializer(0.5))
        logits = tf.matmul(features, w)
        result = tf.nn.softmax(logits, name="final_result")
        loss = v1.losses.sparse_softmax_cross_entropy([1], logits)
        train = v1.train.GradientDescentOptimizer(0.1).minimize(loss)
        started(session)
        cached = session.run(bottleneck, {images: [[[[1.0] * 3] * 2] * 2]})
        session.run(train, {features: cached})
        frozen = v1.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), ["final_result"]
        )
        return [
            height,
            width,
            size,
            quantized,
            cached,
            session.run(result, {features: cached}),
            sorted(node.name for node in frozen.node if node.op == "Const"),
        ]
