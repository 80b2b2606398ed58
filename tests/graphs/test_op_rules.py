"""The reviewed list against the registry of the TensorFlow at hand."""

import base64
import functools
import subprocess
import sys

import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2

from hub_keras_bridge.graphs.ops.reach import Reach, reviewed_ops
from scripts.op_rules import derive_reach

# No public name lists them.
_LIST = """
import base64, tensorflow
from tensorflow.python.client import pywrap_tf_session as tf
print(base64.b64encode(tf.TF_GetBuffer(tf.TF_GetAllOpList())).decode())
"""


@functools.cache
def registered_ops():
    """Every op in the registry of a new process: converters and libraries add their own."""
    done = subprocess.run([sys.executable, "-c", _LIST], capture_output=True, text=True, check=True)
    listed = op_def_pb2.OpList.FromString(base64.b64decode(done.stdout.splitlines()[-1]))
    return {op.name: op for op in listed.op}


def new_ops(registered, reviewed):
    """What nobody has classified, with the heading that the rule proposes."""
    return [
        f"{name}: read what it does and list it, perhaps under [{derive_reach(op).value}]"
        for name, op in sorted(registered.items())
        if name not in reviewed
    ]


def test_every_op_of_this_tensorflow_is_reviewed():
    assert new_ops(registered_ops(), reviewed_ops()) == [], f"new in TensorFlow {tf.__version__}"


def test_a_new_op_would_be_told():
    registered = registered_ops()
    reviewed = dict(reviewed_ops())
    del reviewed["WriteFile"], reviewed["Tanh"]
    assert new_ops(registered, reviewed) == [
        "Tanh: read what it does and list it, perhaps under [compute]",
        "WriteFile: read what it does and list it, perhaps under [writes files]",
    ]


def test_the_list_is_what_the_rule_says():
    reviewed = reviewed_ops()
    differing = {
        name: (reviewed[name].value, derive_reach(op).value)
        for name, op in registered_ops().items()
        if name in reviewed and reviewed[name] is not derive_reach(op)
    }
    assert differing == {}


def test_nothing_that_speaks_of_files_is_let_in_by_its_flag():
    """A second look, by words alone, at what is listed as harmless."""
    words = {"filename", "filenames", "file", "path", "directory", "address", "url", "urls"}
    harmless = {Reach.COMPUTE, Reach.STATE, Reach.NAMED}
    suspects = {
        name
        for name, op in registered_ops().items()
        if reviewed_ops().get(name) in harmless
        and words & {part for a in [*op.input_arg, *op.attr] for part in a.name.split("_")}
    }
    assert suspects == set()


@pytest.mark.parametrize(
    ("op", "kind"),
    [
        (op_def_pb2.OpDef(name="Novel"), Reach.COMPUTE),
        (op_def_pb2.OpDef(name="Novel", is_stateful=True), Reach.UNKNOWN),
        (op_def_pb2.OpDef(name="Novel", input_arg=[{"name": "vocab_file"}]), Reach.UNKNOWN),
        (op_def_pb2.OpDef(name="Novel", attr=[{"name": "server_address"}]), Reach.UNKNOWN),
        (op_def_pb2.OpDef(name="Novel", input_arg=[{"name": "ref", "is_ref": True}]), Reach.STATE),
        (op_def_pb2.OpDef(name="NovelHandleOp", attr=[{"name": "shared_name"}]), Reach.NAMED),
        (op_def_pb2.OpDef(name="NovelDataset"), Reach.PROCESS),
        (op_def_pb2.OpDef(name="_Novel"), Reach.UNKNOWN),
    ],
)
def test_proposals_for_ops_that_no_family_has(op, kind):
    assert derive_reach(op) is kind
