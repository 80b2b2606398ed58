"""A module's folder: what is read there, and what is refused."""

import os
import shutil

import pytest
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

import hub_keras_bridge as hub
from helpers.folders import copy_of_a_module, message_of
from helpers.places import ZOO
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.files import layout, module_folder


@pytest.fixture
def module(tmp_path):
    return copy_of_a_module(tmp_path / "module")


def test_reads_all_parts(module):
    files = module_folder.read_module(str(module))
    assert len(files.saved_model.meta_graphs) == 1
    assert files.checkpoint == str(module / "variables" / "variables")
    assert files.assets == {"zoo_vocab_1.txt": str(module / "assets" / "zoo_vocab_1.txt")}


def test_no_such_directory(tmp_path):
    kind, text = message_of(tmp_path / "absent")
    assert kind is hub.HandleError
    assert "there is no such directory" in text
    assert f"Found: nothing at {tmp_path}/absent" in text


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "file").write_text("x")
    assert "Found: a file" in message_of(tmp_path / "file")[1]


@pytest.mark.parametrize("handle", [None, 3, ["path"]])
def test_handle_of_another_type(handle):
    with pytest.raises(hub.HandleError, match=f"Found: {type(handle).__name__}"):
        hub.ModuleLayer(handle)


def test_module_without_its_variables(module):
    shutil.rmtree(module / "variables")
    kind, text = message_of(module)
    assert issubclass(kind, hub.CheckpointError)
    assert "the values of its variables are missing" in text
    assert "'emb/embeddings'" in text


def test_asset_that_is_a_link(module, tmp_path):
    asset = module / "assets" / "zoo_vocab_1.txt"
    asset.rename(tmp_path / "elsewhere.txt")
    asset.symlink_to(tmp_path / "elsewhere.txt")
    _, text = message_of(module)
    assert "is a link that leads outside" in text
    assert str(tmp_path / "elsewhere.txt") in text
    # A link to the whole module, or inside it, is as good as the module.
    (tmp_path / "elsewhere.txt").rename(module / "kept.txt")
    asset.unlink()
    asset.symlink_to(module / "kept.txt")
    (tmp_path / "link").symlink_to(module)
    assert hub.ModuleLayer(tmp_path / "link")(["a"]).shape == (1, 16)


def test_other_format_number(module):
    (module / "tfhub_module.pb").write_bytes(layout.ModuleDef(format=4).SerializeToString())
    _, text = message_of(module)
    assert "Expected: format 3" in text
    assert "Found: format 4" in text


def test_required_feature(module):
    definition = layout.ModuleDef(format=3, required_features=["time-travel"])
    (module / "tfhub_module.pb").write_bytes(definition.SerializeToString())
    assert "Found: 'time-travel'" in message_of(module)[1]


@pytest.mark.parametrize("name", ["tfhub_module.pb", "saved_model.pb"])
def test_damaged_file(module, name):
    (module / name).write_bytes(b"\xff\xff\xff garbage")
    assert f"{name} is damaged" in message_of(module)[1]


def test_missing_saved_model(module):
    (module / "saved_model.pb").unlink()
    assert "saved_model.pb is missing" in message_of(module)[1]


def test_empty_saved_model(module):
    (module / "saved_model.pb").write_bytes(b"")
    assert "has no graph in it" in message_of(module)[1]


def test_missing_asset(module):
    (module / "assets" / "zoo_vocab_1.txt").unlink()
    assert "its asset 'zoo_vocab_1.txt' is missing" in message_of(module)[1]


HOSTILE = ["../secret", "/etc/passwd", "a/../../b", "..", ".", "", "a//b", "a\\b", "C:x", "a\0b"]


@pytest.mark.parametrize("name", HOSTILE)
def test_asset_outside_its_folder(module, name):
    saved_model = saved_model_pb2.SavedModel.FromString((module / "saved_model.pb").read_bytes())
    (packed,) = saved_model.meta_graphs[0].collection_def[layout.ASSETS_COLLECTION].any_list.value
    packed.Pack(meta_graph_pb2.AssetFileDef(filename=name))
    (module / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    _, text = message_of(module)
    assert "leads outside its folder" in text
    assert repr(name) in text


@pytest.mark.parametrize("name", ["vocab.txt", "sub/vocab.txt", "..vocab", "a b"])
def test_harmless_asset_names(name):
    assert module_folder.safe_asset_name(name, Subject()) == name


def test_module_def_is_what_the_original_writes():
    assert layout.module_def_bytes() == (ZOO / "mlp_bn" / "module" / "tfhub_module.pb").read_bytes()


def test_own_proto_package():
    assert layout.ModuleDef.DESCRIPTOR.full_name == "hub_keras_bridge.ModuleDef"
    assert os.path.basename(layout.ModuleDef.DESCRIPTOR.file.name) == "module.proto"
