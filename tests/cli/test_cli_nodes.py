"""The list of a graph's tensors, by which an inner one is found."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

import hub_keras_bridge as hub
from helpers.places import ZOO
from helpers.tf1_reference import v1_control_flow
from hub_keras_bridge.cli import main
from hub_keras_bridge.tools.inspect.nodes import find_nodes
from hub_keras_bridge.tools.inspect.nodes_text import format_nodes

v1 = tf.compat.v1


def run(capsys, *argv):
    status = main(["inspect", *map(str, argv)])
    told = capsys.readouterr()
    assert (status, told.err) == (0, "")
    return told.out


def test_text(capsys):
    shown = run(capsys, ZOO / "bert_tiny" / "module", "--nodes", "layer_[01]/Softmax$")
    assert shown.splitlines() == [
        str(ZOO / "bert_tiny" / "module"),
        "",
        "Tensors of all variants",
        "Tensor                   Op        Dtype and shape        In a call of",
        "─" * 70,
        "bert/layer_0/Softmax:0   Softmax   float32 [?, 4, ?, ?]   'tokens'",
        "bert/layer_1/Softmax:0   Softmax   float32 [?, 4, ?, ?]   'tokens'",
    ]


def test_by_variant(capsys):
    shown = run(capsys, ZOO / "mlp_bn" / "module", "--nodes", "moments/mean$")
    assert "Tensors of variant {}  none\n" in shown
    assert "\nTensors of variant {'train'}\n" in shown
    assert "bn/moments/mean:0" in shown


def test_json(capsys):
    shown = json.loads(run(capsys, ZOO / "mlp_bn" / "module", "--nodes", "^Relu$", "--json"))
    assert shown["pattern"] == "^Relu$"
    assert [variant["tags"] for variant in shown["variants"]] == [[], ["train"]]
    assert shown["variants"][0]["tensors"] == [
        {
            "name": "Relu:0",
            "op": "Relu",
            "dtype": "float32",
            "shape": [None, 32],
            "signatures": ["default", "double"],
            "obstacle": None,
        }
    ]


def test_what_cannot_be_returned():
    def module_fn():
        x = v1.placeholder(tf.float32, [], name="x")
        v1.get_variable("v", initializer=1.0)
        last = tf.while_loop(lambda y: y < 9.0, lambda y: tf.add(y, 1.0, "turn"), [x], name="loop")
        hub.add_signature(inputs=x, outputs=last[0])
        other = v1.placeholder(tf.float32, [], name="other")
        hub.add_signature("both", {"x": x, "other": other}, tf.add(x, other, name="sum"))

    with v1_control_flow():
        spec = hub.create_module_spec(module_fn)
    (variant,) = find_nodes(spec, "^(x|v|loop/turn|loop/Exit|other|sum)$").variants
    assert {t.name: t.obstacle or t.signatures for t in variant.tensors} == {
        "x:0": ("both", "default"),
        "v:0": "a handle",
        "loop/turn:0": "within a loop",
        "loop/Exit:0": ("both", "default"),
        "other:0": ("both",),
        "sum:0": ("both",),
    }
    shown = format_nodes(find_nodes(spec, "turn"), Console(width=80, file=io.StringIO()))
    assert "none: within a loop" in shown
    # What is listed as a signature's can be asked of it.
    for tensor in variant.tensors:
        for signature in tensor.signatures:
            layer = hub.ModuleLayer(spec, signature=signature, output_key=tensor.name)
            inputs = {n: np.float32(2.0) for n in spec.get_input_info_dict(signature)}
            assert layer(inputs).dtype == tf.float32


def test_no_pattern(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["inspect", "/m", "--nodes", "("])
    assert stopped.value.code == 2
    assert "'(' is no regular expression: missing ), unterminated" in capsys.readouterr().err


def test_the_way_from_an_error(capsys, golden):
    """A name that is not there, the list, the tensor."""
    path = golden("mlp_bn").path
    with pytest.raises(hub.SignatureError, match="inspect HANDLE --nodes PATTERN"):
        hub.ModuleLayer(path, output_key="relu:0")
    (name,) = (
        line.split()[0]
        for line in run(capsys, path, "--nodes", "(?i)^relu$").splitlines()
        if line.startswith("Relu")
    )
    assert hub.ModuleLayer(path, output_key=name)(golden("mlp_bn").inputs(0)).shape[1] == 32
