"""What a module may be called with, and what it gives back."""

import numpy as np
import tensorflow as tf

from old_code import modules
from old_code.modules import new_session, spec, started
from old_code.registry import program, refused

v1 = tf.compat.v1


@program
def a_python_list(hub, folder):
    """The list becomes a constant, and so are the module's own numbers: names must not clash."""
    with new_session() as session:
        y = hub.Module(spec(hub, modules.half_plus_two))([1.0, 2.0])
        return [y.name, session.run(y), modules.nodes(session.graph)]


@program
def python_lists_in_a_dict(hub, folder):
    with new_session() as session:
        module = hub.Module(modules.published_bert(hub, folder))
        outputs = module(modules.TOKENS, signature="tokens", as_dict=True)
        return [started(session).run(outputs), {key: out.name for key, out in outputs.items()}]


@program
def a_numpy_array_in_each_of_two_calls(hub, folder):
    with new_session() as session:
        module = hub.Module(spec(hub, modules.dense))
        ys = [module(np.full([1, 2], value, np.float32)) for value in (1, 2)]
        return [started(session).run(ys), [y.name for y in ys]]


@program
def a_number_for_a_scalar(hub, folder):
    with new_session() as session:
        y = hub.Module(spec(hub, modules.looping))(2)
        return [started(session).run(y), y.dtype, y.shape]


@program
def an_array_of_doubles(hub, folder):
    """Python's and NumPy's doubles are the most usual numbers, and modules take floats."""
    with new_session() as session:
        return session.run(hub.Module(spec(hub, modules.half_plus_two))(np.array([1.0, 2.0])))


@program
def integers_for_floats(hub, folder):
    with new_session() as session:
        return session.run(hub.Module(spec(hub, modules.half_plus_two))([1, 2]))


@refused
def a_tensor_of_another_type(hub, folder):
    with new_session():
        hub.Module(spec(hub, modules.half_plus_two))(tf.constant([1, 2]))


@refused
def a_tensor_of_another_shape(hub, folder):
    with new_session():
        hub.Module(spec(hub, modules.dense))(tf.ones([1, 3]))


@program
def placeholders_made_from_the_info(hub, folder):
    """The BigGAN demo's way: a placeholder per input, as the module describes it."""
    path = modules.published(
        hub, modules.generator, folder / "gan", tags=GEN, tags_and_args=modules.GAN_VARIANTS
    )
    with new_session() as session:
        module = hub.Module(path, tags=GEN)
        inputs = {
            key: v1.placeholder(
                info.dtype, info.get_shape().as_list() if info.get_shape().rank else [], key
            )
            for key, info in module.get_input_info_dict().items()
        }
        images = module(inputs)
        feed = {
            inputs["z"]: [[1.0, 2.0]],
            inputs["y"]: [[0.0, 1.0, 0.0]],
            inputs["truncation"]: 0.5,
        }
        return [started(session).run(images, feed), images.name, images.shape]


GEN = {"gen", "bsNone"}


@refused
def an_optional_input_left_out(hub, folder):
    with new_session():
        hub.Module(spec(hub, modules.generator))({"z": [[1.0, 2.0]], "y": [[0.0, 0.0, 1.0]]})


@program
def a_variant_for_a_size_of_batches(hub, folder):
    path = modules.published(
        hub, modules.generator, folder / "gan", tags=GEN, tags_and_args=modules.GAN_VARIANTS
    )
    with new_session() as session:
        module = hub.Module(path, tags={"gen", "bs2"}, name="gen_module")
        images = module({"z": tf.ones([2, 2]), "y": tf.eye(2, 3), "truncation": 1.0})
        return [
            started(session).run(images),
            images.shape,
            modules.nodes(session.graph, "gen_module_apply"),
        ]


@program
def a_signature_without_inputs(hub, folder):
    path = modules.published(
        hub, modules.generator, folder / "gan", tags=GEN, tags_and_args=modules.GAN_VARIANTS
    )
    with new_session() as session:
        info = hub.Module(path, tags=GEN)(signature="info", as_dict=True)
        return [started(session).run(info), {key: out.name for key, out in info.items()}]


@program
def an_empty_dict_for_a_signature_without_inputs(hub, folder):
    with new_session() as session:
        module = hub.Module(modules.published_bert(hub, folder))
        return session.run(module({}, signature="tokenization_info", as_dict=True)["do_lower_case"])


@program
def the_default_output(hub, folder):
    with new_session() as session:
        y = hub.Module(spec(hub, modules.dense))([[1.0, 2.0]])
        return started(session).run(y)


@program
def all_outputs(hub, folder):
    with new_session() as session:
        outputs = hub.Module(spec(hub, modules.dense))([[1.0, 2.0]], as_dict=True)
        return [type(outputs).__name__, started(session).run(outputs)]


@refused
def no_default_output(hub, folder):
    with new_session():
        hub.Module(spec(hub, modules.dense))([[1.0, 2.0]], signature="layers")


@refused
def no_inputs(hub, folder):
    with new_session():
        hub.Module(spec(hub, modules.dense))()


@refused
def an_unknown_input(hub, folder):
    with new_session():
        hub.Module(spec(hub, modules.dense))(
            {"image": [[1.0, 2.0]]}, signature="layers", as_dict=True
        )


@refused
def a_missing_input(hub, folder):
    with new_session():
        hub.Module(spec(hub, modules.generator))({"z": [[1.0, 2.0]]})


@refused
def a_bare_value_for_two_inputs(hub, folder):
    with new_session():
        hub.Module(spec(hub, modules.generator))([[1.0, 2.0]])


@refused
def an_unknown_signature(hub, folder):
    with new_session():
        hub.Module(spec(hub, modules.dense))([[1.0, 2.0]], signature="logits")


@refused
def unknown_tags(hub, folder):
    with new_session():
        hub.Module(spec(hub, modules.dense), tags={"train"})


@program
def tags_in_a_list(hub, folder):
    with new_session():
        module = hub.Module(
            spec(hub, modules.batch_normalized, tags_and_args=modules.TRAIN_AND_EVAL),
            tags=["train"],
        )
        return module([[1.0, 2.0]]).name


@refused
def outside_of_a_graph(hub, folder):
    hub.Module(spec(hub, modules.dense))


@refused
def in_another_graph_than_its_own(hub, folder):
    with tf.Graph().as_default():
        module = hub.Module(spec(hub, modules.dense))
    with tf.Graph().as_default():
        module([[1.0, 2.0]])


@program
def sparse_tensors_and_ragged_ones(hub, folder):
    with new_session() as session:
        module = hub.Module(spec(hub, modules.composites))
        outputs = module(
            {
                "s": tf.sparse.from_dense([[1.0, 0.0, 2.0]]),
                "r": tf.ragged.constant([[1, 2], []], tf.int32),
            },
            as_dict=True,
        )
        return [session.run(outputs), [type(outputs[key]).__name__ for key in sorted(outputs)]]


@program
def values_of_composites_in_evaluations(hub, folder):
    with hub.eval_function_for_module(spec(hub, modules.composites)) as f:
        value = v1.SparseTensorValue(
            np.array([[0, 1]]), np.array([3.0], np.float32), np.array([1, 3])
        )
        of_integers = v1.SparseTensorValue([[0, 0]], [2], [2, 3])
        ragged = v1.ragged.constant_value([[1], [2, 3]], np.int32)
        return [
            f(value, signature="sparse"),
            f(of_integers, signature="sparse"),
            f({"s": value, "r": ragged}, as_dict=True),
        ]


@program
def a_sparse_placeholder(hub, folder):
    with new_session() as session:
        x = v1.sparse_placeholder(tf.float32)
        y = hub.Module(spec(hub, modules.composites))(x, signature="sparse")
        fed = v1.SparseTensorValue([[0, 1], [1, 2]], [3.0, 4.0], [2, 3])
        return [session.run(y, {x: fed}), y.shape]


@refused
def a_sparse_tensor_for_a_dense_input(hub, folder):
    with new_session():
        hub.Module(spec(hub, modules.dense))(tf.sparse.from_dense([[1.0, 2.0]]))


@program
def parts_of_a_sparse_tensor(hub, folder):
    """The lite sentence encoder's way: parts as inputs, and a vocabulary's path."""
    (folder / "spm.model").write_text("pieces")
    path = modules.published(
        hub,
        lambda hub: modules.sentence_encoder_lite(hub, str(folder / "spm.model")),
        folder / "lite",
    )
    with new_session() as session:
        module = hub.Module(path)
        spm_path = session.run(module(signature="spm_path"))
        x = v1.sparse_placeholder(tf.int64, shape=[None, None])
        encodings = module(
            inputs={"values": x.values, "indices": x.indices, "dense_shape": x.dense_shape}
        )
        feed = {x.values: [1, 2, 3], x.indices: [[0, 0], [0, 1], [1, 0]], x.dense_shape: (2, 2)}
        with open(spm_path) as file:
            return [file.read(), started(session).run(encodings, feed), encodings.name]


@program
def computing_in_evaluations(hub, folder):
    """``eval_function_for_module``: one session for many calls, each of Python values."""
    with hub.eval_function_for_module(modules.published_bert(hub, folder)) as f:
        first = f(modules.TOKENS, signature="tokens", as_dict=True)
        return [first, f(signature="tokenization_info", as_dict=True)["do_lower_case"]]


@program
def computing_in_evaluations_of_a_variant(hub, folder):
    module_spec = spec(hub, modules.batch_normalized, tags_and_args=modules.TRAIN_AND_EVAL)
    with hub.eval_function_for_module(module_spec, tags={"train"}) as f:
        return [f([[1.0, 2.0], [3.0, 4.0]]), f([[1, 2]])]
