"""The inner tensors of a module, and what a session finds under their names."""

import contextlib
import re

import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.tf1_reference import v1_control_flow
from hub_keras_bridge.graphs.graph import Cut, downstream, node_name
from hub_keras_bridge.plans.calls import nodes_unfed_by

v1 = tf.compat.v1

# Random numbers, what saves and assigns, and outputs that a kernel does not fill.
_NOT_COMPARED = re.compile("Random|Truncated|Save|Restore|Sharded|Assign|IsVar|VarIs|MergeV2")
_NOT_FILLED = re.compile(r"/FusedBatchNorm\w*:[1-5]$")


def returnable(variant, signature):
    """The tensors that a call of a signature can return, with a value to compare."""
    inner = variant.inner_tensors
    left_out = [name for name, node in inner.nodes.items() if _NOT_COMPARED.match(node.op)]
    behind = downstream(inner.nodes, left_out, Cut()) | nodes_unfed_by(variant, signature)
    return [
        tensor.name
        for name, node in inner.nodes.items()
        for tensor in inner.of(node)
        if tensor.obstacle is None
        if not behind & {name, *map(node_name, tensor.info.tensor_names)}
        if not _NOT_FILLED.search(tensor.name)
    ]


def in_session(spec, inputs, names, *, signature="default", tags=None, gradients_of=()):
    """Applies a module in a TF1 graph, and runs what old programs get by name.

    Args:
        spec: the module.
        inputs: what to apply it to.
        names: of inner tensors.
        signature: which signature.
        tags: of the variant.
        gradients_of: some of the names, for the gradients of their sums of squares.

    Returns:
        The values by name, and for each of ``gradients_of`` the gradients by TF1 name of
        the trainable variables.
    """
    fed = tf.nest.map_structure(np.asarray, inputs)
    inner = spec.variant(tags).inner_tensors
    with tf.Graph().as_default() as graph, v1.Session() as session:
        module = hub.Module(spec, trainable=bool(gradients_of), tags=tags)
        module(tf.nest.map_structure(tf.constant, fed), signature, as_dict=True)

        def tensor(name):
            holds_state = inner.nodes[node_name(name)].op == "VariableV2"
            scope = "module" if holds_state else f"module_apply_{signature}"
            return graph.get_tensor_by_name(f"{scope}/{name}")

        # What is fed to an application stands beside it.
        in_graph = {n: tensor(n) for n in names if inner.nodes[node_name(n)].op != "Placeholder"}
        with v1_control_flow() if inner.inside else contextlib.nullcontext():
            slopes = {
                name: _gradients(tf.reduce_sum(tensor(name) ** 2), v1.trainable_variables())
                for name in gradients_of
            }
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        return session.run([in_graph, slopes])


def _gradients(loss, variables):
    found = v1.gradients(loss, variables)
    return {
        variable.op.name.removeprefix("module/"): tf.zeros_like(variable)
        if gradient is None
        else tf.convert_to_tensor(gradient)
        for variable, gradient in zip(variables, found, strict=True)
    }


def assert_values(found, expected, tolerance=1e-5):
    """Fails unless tensors have the values of a session's arrays, by name."""
    for name, value in expected.items():
        ours = np.asarray(found[name])
        assert ours.shape == np.shape(value), name
        if ours.dtype.kind in "fc":
            np.testing.assert_allclose(ours, value, tolerance, tolerance, err_msg=name)
        else:
            np.testing.assert_array_equal(ours, value, err_msg=name)
