"""Modules that lack something, one file at a time."""

import shutil

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from helpers.places import ZOO
from helpers.tf1_saved_models import of_tags
from hub_keras_bridge.files.fetch.integrity import fault
from hub_keras_bridge.files.layout import ASSETS_COLLECTION

GOLDENS = sorted(path.parent.name for path in ZOO.glob("*/module"))


def files_of(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("name", GOLDENS)
def test_golden_is_whole_until_any_of_its_files_is_gone(name, tmp_path):
    path = tmp_path / "module"
    shutil.copytree(ZOO / name / "module", path)
    assert fault(str(path)) is None
    for file in files_of(path):
        (path / file).rename(tmp_path / "away")
        assert fault(str(path)).startswith((file, file.split("-")[0])), file
        assert " is missing" in fault(str(path))
        (tmp_path / "away").rename(path / file)
    assert fault(str(path)) is None


@pytest.mark.parametrize("name", ["mlp_bn", "text_embed"])
@pytest.mark.parametrize("file", ["tfhub_module.pb", "saved_model.pb", "variables/variables.index"])
def test_empty_file(name, file, tmp_path):
    path = tmp_path / "module"
    shutil.copytree(ZOO / name / "module", path)
    (path / file).write_bytes(b"")
    assert fault(str(path)).startswith(file)


@pytest.mark.parametrize("file", ["tfhub_module.pb", "saved_model.pb"])
def test_damaged_file(file, tmp_path):
    path = tmp_path / "module"
    shutil.copytree(ZOO / "mlp_bn" / "module", path)
    (path / file).write_bytes(b"\xff\xff\xff garbage")
    assert fault(str(path)) == f"{file} is damaged"


def test_saved_model_that_is_cut_short(tmp_path):
    path = tmp_path / "module"
    shutil.copytree(ZOO / "mlp_bn" / "module", path)
    content = (path / "saved_model.pb").read_bytes()
    (path / "saved_model.pb").write_bytes(content[: len(content) // 2])
    assert fault(str(path)) == "saved_model.pb is damaged"


def test_each_shard_counts(tmp_path):
    path = tmp_path / "module"
    shutil.copytree(ZOO / "mlp_bn" / "module", path)
    parts = [str(tmp_path / "part" / name) for name in "abc"]
    for part, values in zip(parts, ([1.0], [2.0, 3.0], [4.0]), strict=True):
        tf.raw_ops.SaveV2(
            prefix=part, tensor_names=[part[-1]], shape_and_slices=[""], tensors=[values]
        )
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=parts, destination_prefix=str(path / "variables" / "variables")
    )
    # Of another checkpoint.
    (path / "variables" / "variables.data-00000-of-00009").write_bytes(b"")
    assert fault(str(path)) is None
    for number in range(3):
        name = f"variables/variables.data-0000{number}-of-00003"
        content = (path / name).read_bytes()
        (path / name).unlink()
        assert fault(str(path)) == f"{name} is missing"
        (path / name).write_bytes(content[:-1])
        length = len(content)
        assert fault(str(path)) == f"{name} is cut short: it has {length - 1} bytes of {length}"
        (path / name).write_bytes(content + b"more")
        assert fault(str(path)) is None


@pytest.mark.parametrize("name", ["mlp_bn", "text_embed"])
def test_index_that_is_cut_or_changed_anywhere(name, tmp_path):
    path = tmp_path / "module"
    shutil.copytree(ZOO / name / "module", path)
    index = path / "variables" / "variables.index"
    content = index.read_bytes()
    for length in (1, len(content) // 2, len(content) - 1):
        index.write_bytes(content[:length])
        assert fault(str(path)) == (
            "variables/variables.index is damaged: the file is cut short, or no index"
        )
    for position in range(len(content)):
        # Nobody reads the zeros that fill the footer.
        if position >= len(content) - 48 and content[position] == 0:
            continue
        index.write_bytes(
            content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :]
        )
        told = fault(str(path))
        assert told is not None, position
        assert told.startswith("variables/variables.index is damaged: "), position


def test_module_without_variables_needs_no_checkpoint(tmp_path):
    path = tmp_path / "module"
    shutil.copytree(ZOO / "mlp_bn" / "module", path)
    saved_model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    for meta_graph in saved_model.meta_graphs:
        del meta_graph.collection_def["variables"]
    (path / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    shutil.rmtree(path / "variables")
    assert fault(str(path)) is None


def test_asset_outside_is_not_looked_for(tmp_path):
    path = tmp_path / "module"
    shutil.copytree(ZOO / "text_embed" / "module", path)
    saved_model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (packed,) = saved_model.meta_graphs[0].collection_def[ASSETS_COLLECTION].any_list.value
    packed.Pack(meta_graph_pb2.AssetFileDef(filename="../saved_model.pb"))
    (path / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    assert "an asset's file name leads outside" in fault(str(path))


def test_tf2_saved_model(tmp_path):
    class WithVocabulary(tf.Module):
        def __init__(self, file):
            self.vocabulary = tf.saved_model.Asset(file)
            self.weight = tf.Variable(1.0)

    (tmp_path / "words.txt").write_text("a\nb\n")
    path = tmp_path / "model"
    tf.saved_model.save(WithVocabulary(str(tmp_path / "words.txt")), str(path))
    assert fault(str(path)) is None
    for file in ("saved_model.pb", "assets/words.txt", "variables/variables.index"):
        (path / file).rename(tmp_path / "away")
        assert fault(str(path)).startswith(file)
        (tmp_path / "away").rename(path / file)


def test_module_without_its_definition(tmp_path):
    shutil.copytree(ZOO / "mlp_bn" / "module", tmp_path / "m")
    (tmp_path / "m" / "tfhub_module.pb").unlink()
    assert fault(str(tmp_path / "m")) == "tfhub_module.pb is missing"


def test_tf1_saved_model(tmp_path):
    """It has no definition, and tags for each graph."""
    folder = tmp_path / "saved"
    of_tags(folder, ["serve"], ["train"])
    assert fault(str(folder)) is None
    (folder / "variables" / "variables.index").unlink()
    assert fault(str(folder)) == "variables/variables.index is missing or empty"
