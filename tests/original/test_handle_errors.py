"""What old code catches of handles, servers, images and exporters: the original's built-in errors.

Which they were was recorded from tensorflow-hub 0.15.0 on tensorflow-cpu 2.15.1. Where it let
through an error of TensorFlow's, protobuf's or its own making (an AttributeError of an integer),
nothing is asked here.
"""

import io
import shutil
import tarfile

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.http_server import Answer, Server, archive_of
from helpers.places import ZOO
from hub_keras_bridge.files.fetch import retrying

v1 = tf.compat.v1
MODULE = ZOO / "mlp_bn" / "module"


def in_a_graph(path):
    with tf.Graph().as_default():
        hub.Module(path)


READ = {"resolve": hub.resolve, "load": hub.load, "Module": in_a_graph}
READ["load_module_spec"] = hub.load_module_spec


# --- folders ---


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


FOLDERS = {
    "empty": lambda folder: shutil.rmtree(folder) or folder.mkdir(),
    "file": lambda folder: shutil.rmtree(folder) or folder.write_text("x"),
    "absent": shutil.rmtree,
    "no definition": lambda folder: (folder / "tfhub_module.pb").unlink(),
    "no graphs": lambda folder: (folder / "saved_model.pb").unlink(),
    "damaged graphs": write("saved_model.pb", b"garbage garbage"),
    "another format": write("tfhub_module.pb", b"\x08\x01"),
    "a required feature": write("tfhub_module.pb", b"\x08\x03\x12\x03foo"),
}


@pytest.mark.parametrize(
    ("how", "state", "kind"),
    [
        ("resolve", "absent", OSError),
        ("load", "absent", OSError),
        ("load_module_spec", "absent", OSError),
        ("Module", "absent", OSError),
        ("load", "empty", ValueError),
        ("load", "no definition", ValueError),
        ("load_module_spec", "another format", ValueError),
        ("Module", "another format", ValueError),
        ("load_module_spec", "a required feature", ValueError),
        ("Module", "a required feature", ValueError),
        ("load", "damaged graphs", OSError),
        ("load_module_spec", "damaged graphs", OSError),
        ("Module", "damaged graphs", OSError),
        ("load", "no graphs", ValueError),
        ("load", "file", ValueError),
    ],
)
def test_folders(how, state, kind, tmp_path):
    folder = tmp_path / "module"
    shutil.copytree(MODULE, folder)
    FOLDERS[state](folder)
    with pytest.raises(kind) as caught:
        READ[how](str(folder))
    assert isinstance(caught.value, hub.HubError)


@pytest.mark.parametrize("handle", [0, None, b"x"])
def test_what_is_no_handle(handle):
    with pytest.raises(ValueError, match="Cannot resolve the handle"):
        hub.load(handle)


# --- servers ---


def tar(member, content=b""):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def link():
    member = tarfile.TarInfo("link")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return tar(member)


def upward():
    member = tarfile.TarInfo("../outside")
    member.size = 1
    return tar(member, b"x")


ANSWERS = {
    "absent": lambda: Answer(b"", status=404),
    "fails": lambda: Answer(b"", status=500),
    "no archive": lambda: b"hello" * 100,
    "empty": lambda: b"",
    "cut short": lambda: archive_of(MODULE)[:2000],
    "link": link,
    "upward": upward,
    "whole": lambda: archive_of(MODULE),
    "a path": lambda: Answer(b"/local/path", status=303),
}


@pytest.mark.parametrize(
    ("load_format", "answer", "kind"),
    [
        ("AUTO", "absent", OSError),
        ("AUTO", "fails", OSError),
        ("AUTO", "no archive", OSError),
        ("AUTO", "empty", OSError),
        ("AUTO", "cut short", OSError),
        ("AUTO", "link", ValueError),
        ("AUTO", "upward", ValueError),
        ("UNCOMPRESSED", "absent", ValueError),
        ("UNCOMPRESSED", "fails", ValueError),
        ("UNCOMPRESSED", "whole", ValueError),
        ("UNCOMPRESSED", "a path", ValueError),
    ],
)
def test_servers(load_format, answer, kind, tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", load_format)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(retrying, "BACKOFF", 0.001)
    with Server() as server:
        url = server.serve("/m", ANSWERS[answer]())
        with pytest.raises(kind) as caught:
            hub.resolve(url)
    assert isinstance(caught.value, hub.HubError)


@pytest.mark.parametrize("load_format", ["AUTO", "UNCOMPRESSED"])
def test_nobody_listens(load_format, tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", load_format)
    monkeypatch.setattr(retrying, "BACKOFF", 0.001)
    with Server() as gone:
        url = gone.url("/m")
    with pytest.raises(OSError, match="there is no answer"):
        hub.resolve(url)


# --- images, exporters ---


def images(shape):
    def module_fn():
        x = v1.placeholder(tf.float32, shape)
        hub.add_signature(inputs={"images": x}, outputs=x)

    return hub.create_module_spec(module_fn)


@pytest.mark.parametrize(
    ("ask", "shape", "arguments"),
    [
        (hub.get_expected_image_size, [None, None, None, 3], {}),
        (hub.get_expected_image_size, [None, 4], {}),
        (hub.get_expected_image_size, None, {}),
        (hub.get_expected_image_size, [None, 4, 4, 3], {"input_name": "foo"}),
        (hub.get_expected_image_size, [None, 4, 4, 3], {"signature": "foo"}),
        (hub.get_num_image_channels, [None, 4, 4, None], {}),
        (hub.get_num_image_channels, [None, 4], {}),
    ],
)
def test_images(ask, shape, arguments):
    spec = images(shape)
    with pytest.raises(ValueError, match=r"image|no signature"):
        ask(spec, **arguments)


def test_exporters():
    with tf.Graph().as_default():
        module = hub.Module(images([None, 4, 4, 3]))
        hub.register_module_for_export(module, "a")
        with pytest.raises(ValueError, match="under the name 'a'"):
            hub.register_module_for_export(module, "a")
    for count in (0, -1):
        with pytest.raises(ValueError, match=f"with exports_to_keep={count}"):
            hub.LatestModuleExporter("exports", exports_to_keep=count)
