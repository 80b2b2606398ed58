"""Trust by the names of ops: exactly those that an audit tells are needed, and enough."""

import copy
import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.cli import main
from hub_keras_bridge.plans.audit import audit_module
from hub_keras_bridge.tools.apply.apply import apply_to_file
from hub_keras_bridge.tools.convert import convert

v1 = tf.compat.v1

NEEDED = {"ReadFile", "Timestamp"}
ONE = [np.float32([[1.0, 2.0]])]


@pytest.fixture
def module(publish, tmp_path):
    """The path of a module that adds the length of a file, 4, and asks for the time."""
    (tmp_path / "read").write_text("four")

    def module_fn():
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        length = tf.strings.length(tf.io.read_file(str(tmp_path / "read")))
        with tf.control_dependencies([tf.timestamp()]):
            hub.add_signature(inputs=x, outputs=x + tf.cast(length, tf.float32))

    spec = hub.create_module_spec(module_fn)
    path = tmp_path / "module"
    hub.ModuleLayer(spec, safe_mode=False).export_module(path)
    return str(path)


@pytest.fixture
def saved_model(tmp_path):
    (tmp_path / "read").write_text("four")
    model = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    def call(x):
        length = tf.strings.length(tf.io.read_file(str(tmp_path / "read")))
        with tf.control_dependencies([tf.timestamp()]):
            return x + tf.cast(length, tf.float32)

    model.__call__ = call
    tf.saved_model.save(model, str(tmp_path / "saved_model"))
    return str(tmp_path / "saved_model")


def check(use):
    """All names are enough, one fewer is not, and its name is told."""
    for missing in sorted(NEEDED):
        with pytest.raises(hub.UnsafeModuleError) as caught:
            use(NEEDED - {missing})
        assert f"pass trusted_ops={{'{missing}'}}, or with all that the process may do" in str(
            caught.value
        )
    return use(NEEDED)


def test_the_audit_tells_the_names(module, capsys):
    assert audit_module(hub.load_module_spec(module)).refused_ops == NEEDED
    assert main(["audit", module]) == 1
    assert "trusted_ops={'ReadFile', 'Timestamp'}" in capsys.readouterr().out
    main(["audit", module, "--json"])
    assert json.loads(capsys.readouterr().out)["refused_ops"] == sorted(NEEDED)


def test_layer(module):
    layer = check(lambda ops: hub.ModuleLayer(module, trusted_ops=ops))
    assert layer(*ONE).numpy().tolist() == [[5.0, 6.0]]
    assert layer.get_config()["trusted_ops"] == sorted(NEEDED)
    assert layer.get_config()["safe_mode"] is True
    assert "trusted_ops" not in hub.ModuleLayer(module, safe_mode=False).get_config()


def test_saved_model_layer(saved_model):
    layer = check(lambda ops: hub.ModuleLayer(saved_model, trusted_ops=ops))
    assert layer(*ONE).numpy().tolist() == [[5.0, 6.0]]
    assert layer.get_config()["trusted_ops"] == sorted(NEEDED)


@pytest.mark.parametrize("kind", ["module", "saved_model"])
def test_load(request, kind):
    path = request.getfixturevalue(kind)
    loaded = check(lambda ops: hub.load(path, trusted_ops=ops))
    assert loaded(*ONE).numpy().tolist() == [[5.0, 6.0]]


def test_in_a_session(module):
    def use(ops):
        with tf.Graph().as_default(), v1.Session() as session:
            return session.run(hub.Module(module, safe_mode=True, trusted_ops=ops)(*ONE))

    assert check(use).tolist() == [[5.0, 6.0]]


def test_apply(module, tmp_path):
    np.save(tmp_path / "in.npy", *ONE)

    def use(ops):
        apply_to_file(module, tmp_path / "in.npy", tmp_path / "out.npy", trusted_ops=ops)

    check(use)
    assert np.load(tmp_path / "out.npy").tolist() == [[5.0, 6.0]]


@pytest.mark.parametrize("kind", ["savedmodel", "keras", "tflite", "hub"])
def test_convert(module, tmp_path, kind):
    target = tmp_path / ("made.keras" if kind == "keras" else "made")
    check(lambda ops: convert.CONVERSIONS[kind](module, target, trusted_ops=ops))
    assert target.exists()


def test_beam(module):
    pytest.importorskip("apache_beam")
    from hub_keras_bridge.beam import HubModelHandler

    runner = check(lambda ops: HubModelHandler(module, trusted_ops=ops).load_model())
    handler = HubModelHandler(module, trusted_ops=NEEDED)
    (result,) = handler.run_inference([ONE[0][0]], runner)
    assert result.inference.tolist() == [5.0, 6.0]


def test_command_line(module, tmp_path, capsys):
    np.save(tmp_path / "in.npy", *ONE)
    files = ["--input", str(tmp_path / "in.npy"), "--output", str(tmp_path / "out.npy")]
    for command in (
        ["apply", module, *files],
        ["convert", module, "--to", "savedmodel", str(tmp_path / "made")],
    ):
        assert main([*command, "--trust", "ReadFile"]) != 0
        assert "pass --trust Timestamp, or with all" in capsys.readouterr().err
        assert main([*command, "--trust", "ReadFile", "--trust", "Timestamp"]) == 0
    assert np.load(tmp_path / "out.npy").tolist() == [[5.0, 6.0]]


@pytest.mark.parametrize("wrong", ["ReadFile", [b"ReadFile"], [1], None])
def test_what_are_no_names(module, wrong):
    for use in (hub.ModuleLayer, hub.load):
        with pytest.raises(hub.InputError) as caught:
            use(module, trusted_ops=wrong)
        assert str(caught.value).splitlines()[0] == "Cannot trust these ops of a TF1 Hub module."
        assert f"Found: {wrong!r}" in str(caught.value)


# -- Keras


@pytest.fixture
def archive(module, tmp_path):
    path = tmp_path / "model.keras"
    convert.to_keras(module, path, trusted_ops=NEEDED)
    return path


def edited(archive, change):
    """The archive with another config of its layer."""
    target = archive.with_name("edited.keras")
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w") as made:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config["config"]["layers"][-1]["config"])
                content = json.dumps(config).encode()
            made.writestr(name, content)
    return target


@pytest.mark.parametrize(
    "says",
    [
        {},
        {"trusted_ops": sorted(NEEDED)},
        {"safe_mode": False},
        {"safe_mode": False, "trusted_ops": sorted(NEEDED)},
    ],
)
def test_an_archive_widens_nothing(archive, says):
    file = edited(archive, lambda config: config.update(says))
    with pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
        keras.models.load_model(file)
    with pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
        convert.to_hub(file, file.with_name("made"))


def test_an_archive_with_trust_of_the_caller(archive, tmp_path):
    assert keras.models.load_model(archive, safe_mode=False)(*ONE).numpy().tolist() == [[5.0, 6.0]]
    check(lambda ops: convert.to_hub(archive, tmp_path / "made", trusted_ops=ops))
    layer = hub.ModuleLayer(tmp_path / "made", trusted_ops=NEEDED)
    assert layer(*ONE).numpy().tolist() == [[5.0, 6.0]]


def test_copies_in_the_program_keep_it(module):
    layer = hub.ModuleLayer(module, trusted_ops=NEEDED)
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layer(inputs))
    cloned = keras.models.clone_model(model)
    assert cloned(*ONE).numpy().tolist() == [[5.0, 6.0]]
    assert cloned.layers[-1].get_config()["trusted_ops"] == sorted(NEEDED)
    assert copy.deepcopy(layer)(*ONE).numpy().tolist() == [[5.0, 6.0]]
