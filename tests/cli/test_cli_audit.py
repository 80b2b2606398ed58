"""``hub-keras-bridge audit``."""

import json

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden
from hub_keras_bridge.cli import main

v1 = tf.compat.v1


def publish(path, *, needed):
    """A module that reads a file, either in its signature or in vain."""

    def module_fn():
        x = v1.placeholder(tf.string, [], name="x")
        read = tf.io.read_file(x, name="open")
        hub.add_signature(inputs=x, outputs=read if needed else tf.identity(x))

    hub.create_module_spec(module_fn).export(str(path))
    return str(path)


def test_refused(tmp_path, capsys):
    path = publish(tmp_path / "module", needed=True)
    assert main(["audit", path]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        f"{path}: safe mode refuses it, since it may reach outside itself",
        "",
        "kind         op        node  in function  variant  needed by",
        "reads files  ReadFile  open  -            {}       'default'",
        "",
        "To trust it with these alone: trusted_ops={'ReadFile'}",
    ]
    assert told.err == ""


def test_taken_though_something_would_reach_outside(tmp_path, capsys):
    path = publish(tmp_path / "module", needed=False)
    assert main(["audit", path]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: safe mode takes it; what may reach outside is never run"
    assert lines[3] == "reads files  ReadFile  open  -            {}       not run"


@pytest.mark.parametrize("name", ["text_embed", "rnn", "variants"])
def test_ordinary_modules_are_taken(name, capsys):
    path = Golden(name).path
    assert main(["audit", path]) == 0
    expected = f"{path}: safe mode takes it; nothing in it reaches outside\n"
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize("needed", [True, False])
def test_json(tmp_path, needed, capsys):
    path = publish(tmp_path / "module", needed=needed)
    assert main(["audit", "--json", path]) == (1 if needed else 0)
    assert json.loads(capsys.readouterr().out) == {
        "handle": path,
        "safe": not needed,
        "refused_ops": ["ReadFile"] if needed else [],
        "module": path,
        "findings": [
            {
                "kind": "reads files",
                "node": "open",
                "op": "ReadFile",
                "function": None,
                "tags": [],
                "needed_by": ["default"] if needed else [],
            }
        ],
        "missing": [],
    }


class TestMissingOps:
    @pytest.fixture
    def path(self, tmp_path):
        """A segmenter, and a signature that needs no op of another package."""

        def module_fn():
            x = v1.placeholder(tf.float32, [None])
            hub.add_signature(inputs=x, outputs=tf.exp(x, name="split"))
            hub.add_signature("plain", inputs=x, outputs=tf.negative(x))

        spec = hub.create_module_spec(module_fn)
        for node in spec.files.saved_model.meta_graphs[0].graph_def.node:
            if node.op == "Exp":
                node.op = "TokenizerFromLogits"
        hub.ModuleSpec(spec.files).export(str(tmp_path / "module"))
        return str(tmp_path / "module")

    def test_text(self, path, capsys):
        assert main(["audit", path]) == 0
        assert capsys.readouterr().out.splitlines() == [
            f"{path}: safe mode takes it; nothing in it reaches outside",
            "",
            "Not registered here; import the package first:",
            "",
            "op                   package          variant  needed by",
            "TokenizerFromLogits  tensorflow_text  {}       'default'",
        ]

    def test_json(self, path, capsys):
        assert main(["audit", "--json", path]) == 0
        assert json.loads(capsys.readouterr().out)["missing"] == [
            {
                "op": "TokenizerFromLogits",
                "package": "tensorflow_text",
                "tags": [],
                "needed_by": ["default"],
            }
        ]

    def test_a_layer_says_the_same(self, path):
        with pytest.raises(hub.UnknownOpError) as raised:
            hub.ModuleLayer(path)
        assert raised.value.advice == (
            "install and import tensorflow_text before loading the module"
        )
        assert hub.ModuleLayer(path, signature="plain")([2.0]).numpy().tolist() == [-2.0]


def test_the_status_is_what_a_layer_does(tmp_path):
    for needed in (True, False):
        path = publish(tmp_path / str(needed), needed=needed)
        taken = main(["audit", path]) == 0
        if taken:
            hub.ModuleLayer(path)
        else:
            with pytest.raises(hub.UnsafeModuleError):
                hub.ModuleLayer(path)
        assert taken is not needed


def test_no_module(tmp_path, capsys):
    assert main(["audit", str(tmp_path / "absent")]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("hub-keras-bridge audit: ")
    assert "no such directory" in told.err
    assert "Traceback" not in told.err


def test_json_tells_refused_from_unread(tmp_path, capsys):
    refused = publish(tmp_path / "module", needed=True)
    found = []
    for handle in (refused, str(tmp_path / "absent")):
        assert main(["audit", handle, "--json"]) == 1
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["safe"] is False
    assert "error" not in found[0]
    assert found[1].keys() == {"error"}
    assert found[1]["error"]["kind"] == "HandleError"


def test_help_says_what_the_status_is(capsys):
    with pytest.raises(SystemExit):
        main(["audit", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert told.endswith(
        "The status is 0 if safe mode takes the module, and 1 if it refuses it or the module "
        "cannot be read. --json tells these two apart: by the key safe, or the key error."
    )
