"""A module whose every name is an attack on whoever shows it."""

import os
import shutil

from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from helpers.places import ZOO
from hub_keras_bridge.files.layout import ModuleAttachment

# Markup, a terminal's escape sequence and bell, marks that turn the direction
# of writing, a line break, and more letters than a line has.
EVIL = "<script>alert(1)</script>'\"&\x1b[31m\x07\u202e\u2066\n[bold]" + "x" * 300 + "/שלום"
EVIL_FILE = "<b>\x1b[31m\u202e.txt"

# The letters of it that must reach neither a terminal nor a page as they are.
RAW = "\x1b\x07\u202e\u2066"


def write_hostile_module(path):
    """Writes the golden convnet with the name of everything in it replaced or added to."""
    shutil.copytree(ZOO / "convnet" / "module", path)
    shutil.copytree(ZOO / "text_embed" / "module" / "assets", path / "assets")
    os.rename(path / "assets" / "zoo_vocab_1.txt", path / "assets" / EVIL_FILE)
    file = path / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for meta_graph in saved_model.meta_graphs:
        _corrupt(meta_graph)
    file.write_bytes(saved_model.SerializeToString())


def _corrupt(meta_graph):
    if meta_graph.meta_info_def.tags:
        meta_graph.meta_info_def.tags.append(EVIL)
    signatures = meta_graph.signature_def
    signatures[EVIL].CopyFrom(signatures["default"])
    signatures[EVIL].inputs[EVIL].CopyFrom(signatures["default"].inputs["images"])
    for node in meta_graph.graph_def.node:
        if node.name == "conv0/kernel":
            node.name = f"{EVIL}/kernel"
        if node.op == "Relu6":
            node.op = EVIL
    collections = meta_graph.collection_def
    for key in ("variables", "trainable_variables"):
        _rename_variable(collections[key].bytes_list.value, "conv0/kernel:0", f"{EVIL}/kernel:0")
    for key in ("regularization_losses", "update_ops"):
        collections[key].node_list.value.append(EVIL)
    attached = ModuleAttachment(key=EVIL, value=b"1").SerializeToString()
    collections["hub_module_attachments"].bytes_list.value.append(attached)
    asset = meta_graph_pb2.AssetFileDef(filename=EVIL_FILE)
    asset.tensor_info.name = EVIL
    collections["saved_model_assets"].any_list.value.add().Pack(asset)


def _rename_variable(definitions, old, new):
    for i, value in enumerate(definitions):
        definition = variable_pb2.VariableDef.FromString(value)
        if definition.variable_name == old:
            definition.variable_name = new
            definitions[i] = definition.SerializeToString()
