"""What a module adds to a TF1 graph, in five positions: runs with the original library, too.

``python published_graphs.py LIBRARY MODULE ...`` prints, as JSON, a list of nodes for each variant
of each module, as the library of this name builds it. Nothing here imports this package or
anything that the original's environment lacks.
"""

import importlib
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

v1 = tf.compat.v1


def graph_in_five_positions(hub, path, tags):
    """Lines ``name type inputs ^control-inputs``, one per node, in the order of the graph.

    A module at the top with each of its signatures, its first signature once more, a second module
    of the same name, one under a name scope, one under a variable scope.
    """
    with tf.Graph().as_default() as graph:
        module = hub.Module(path, trainable=True, tags=tags)
        signatures = sorted(module.get_signature_names())
        for signature in signatures:
            _apply(module, signature)
        _apply(module, signatures[0])
        _apply(hub.Module(path, tags=tags), signatures[0])
        with tf.name_scope("outer"):
            _apply(hub.Module(path, trainable=True, tags=tags, name="encoder"), signatures[0])
        with v1.variable_scope("around"):
            _apply(hub.Module(path, trainable=True, tags=tags), signatures[0])
    return list(map(_line, graph.get_operations()))


def variants(hub, path):
    """The tags of each variant, sorted."""
    return sorted(map(sorted, hub.load_module_spec(path).get_tags()))


def _apply(module, signature):
    inputs = module.get_input_info_dict(signature)
    module(
        {name: _placeholder(info) for name, info in sorted(inputs.items())},
        signature=signature,
        as_dict=True,
    )


def _placeholder(info):
    if isinstance(info.type_spec, tf.RaggedTensorSpec):
        return v1.ragged.placeholder(info.dtype, info.type_spec.ragged_rank, [])
    if info.is_sparse:
        return v1.sparse_placeholder(info.dtype, info.get_shape())
    return v1.placeholder(info.dtype, info.get_shape())


def _line(op):
    # TensorFlow keeps control inputs as a set.
    controls = sorted(f"^{other.name}" for other in op.control_inputs)
    return " ".join([op.name, op.type, *(tensor.name for tensor in op.inputs), *controls])


if __name__ == "__main__":
    v1.logging.set_verbosity(v1.logging.ERROR)
    library = importlib.import_module(sys.argv[1])
    for path in sys.argv[2:]:
        for tags in variants(library, path):
            lines = graph_in_five_positions(library, path, tags)
            print(json.dumps({"module": path, "tags": tags, "nodes": lines}), flush=True)
