"""Changes of what a graph says of itself: signatures, collections, tags."""

from __future__ import annotations

from google.protobuf import any_pb2
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import control_flow_pb2, meta_graph_pb2

from hub_keras_bridge.files.layout import (
    ASSETS_COLLECTION,
    ATTACHMENTS_COLLECTION,
    ModuleAttachment,
)
from stress.hostile.graphs import NAMES, NUMBERS, change_shape
from stress.hostile.victim import Victim

_DTYPES = [0, 1, 3, 7, 9, 20, 21, 23, 101, 107, 999]
_KEYS = [
    "variables",
    "trainable_variables",
    "model_variables",
    "table_initializer",
    "update_ops",
    "regularization_losses",
    "asset_filepaths",
    "cond_context",
    "while_context",
    ASSETS_COLLECTION,
    ATTACHMENTS_COLLECTION,
    "unheard",
]
_FILES = [
    "../../outside/secret",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/../../b",
    "a//b",
    "a/",
    "C:\\x",
    "x" * 300,
    "x/" * 200 + "x",
    "a\0b",
    "ﬀ\u202e",
    "NUL",
    "*",
    "~/x",
    "../tfhub_module.pb",
]


def _info(victim: Victim) -> meta_graph_pb2.TensorInfo:
    signature = victim.choose(list(victim.meta_graph().signature_def.values()))
    infos = [*signature.inputs.values(), *signature.outputs.values()]
    return victim.choose(infos)


def tensor_of_signature(victim: Victim) -> None:
    other = victim.node().name
    _info(victim).name = victim.choose(
        [*NAMES, "nowhere:0", f"{other}:0", f"{other}:9", other, f"^{other}", f"{other}:x"]
    )


def dtype_of_signature(victim: Victim) -> None:
    _info(victim).dtype = victim.choose(_DTYPES)


def shape_of_signature(victim: Victim) -> None:
    change_shape(victim, _info(victim).tensor_shape)


def kind_of_signature(victim: Victim) -> None:
    """Sparse or composite where it is dense, with parts that may not exist."""
    info = _info(victim)
    name, other = info.name, f"{victim.node().name}:0"
    if victim.random.random() < 0.5:
        info.coo_sparse.indices_tensor_name = victim.choose([name, other, "nowhere:0", ""])
        info.coo_sparse.values_tensor_name = name
        info.coo_sparse.dense_shape_tensor_name = victim.choose([name, other, "nowhere:0"])
        return
    spec = info.composite_tensor.type_spec
    spec.type_spec_class = victim.choose(range(0, 13))
    spec.type_spec_class_name = victim.choose(["", "RaggedTensorSpec", "os.system", "\n"])
    for _ in range(victim.random.randrange(4)):
        info.composite_tensor.components.add(name=victim.choose([name, other]), dtype=1)
    match victim.random.randrange(4):
        case 0:
            spec.type_state.tuple_value.values.add().tensor_shape_value.dim.add(size=-5)
            spec.type_state.tuple_value.values.add().tensor_dtype_value = 1
        case 1:
            value = spec.type_state
            for _ in range(victim.choose([5, 60])):
                value = value.list_value.values.add()
        case 2:
            state = spec.type_state.tuple_value.values
            state.add().tensor_shape_value.dim.add(size=-1)
            state.add().tensor_dtype_value = 1
            state.add().int64_value = victim.choose(NUMBERS)
            state.add().tensor_dtype_value = victim.choose([9, 1])
        case _:
            spec.type_state.string_value = "x"


def composite_of_signature(victim: Victim) -> None:
    """Changes a composite value that is there."""
    infos = [
        info
        for meta_graph in victim.saved_model.meta_graphs
        for signature in meta_graph.signature_def.values()
        for info in (*signature.inputs.values(), *signature.outputs.values())
        if info.WhichOneof("encoding") == "composite_tensor"
    ]
    composite = victim.choose(infos).composite_tensor
    match victim.random.randrange(4):
        case 0:
            del composite.components[0]
        case 1:
            composite.components.add(name="nowhere:0")
        case 2:
            composite.type_spec.type_spec_class = victim.choose(range(0, 13))
        case _:
            values = composite.type_spec.type_state.tuple_value.values
            victim.choose(values).int64_value = victim.choose(NUMBERS)


def inputs_and_outputs(victim: Victim) -> None:
    """An output that is an input, one tensor fed twice, an input amid the graph."""
    signature = victim.choose(list(victim.meta_graph().signature_def.values()))
    match victim.random.randrange(6):
        case 0:
            for info in signature.inputs.values():
                signature.outputs["same"].CopyFrom(info)
        case 1:
            for info in list(signature.inputs.values()):
                signature.inputs["twice"].CopyFrom(info)
        case 2:
            for info in list(signature.outputs.values()):
                signature.inputs["late"].CopyFrom(info)
        case 3:
            signature.inputs.clear()
        case 4:
            signature.outputs.clear()
        case _:
            key = victim.choose(NAMES)
            signature.inputs[key].CopyFrom(_info(victim))


def names_of_signatures(victim: Victim) -> None:
    signatures = victim.meta_graph().signature_def
    name = victim.choose(sorted(signatures))
    signatures[victim.choose(NAMES)].CopyFrom(signatures[name])
    if victim.random.random() < 0.5:
        del signatures[name]


def tags(victim: Victim) -> None:
    listed = victim.meta_graph().meta_info_def.tags
    if victim.random.random() < 0.5:
        listed.append(victim.choose(["train", "", "\n", "x" * 10_000, "serve"]))
    else:
        del listed[:]


def kind_of_collection(victim: Victim) -> None:
    collection = victim.meta_graph().collection_def[victim.choose(_KEYS)]
    match victim.random.randrange(6):
        case 0:
            collection.node_list.value.extend(["nowhere", victim.node().name, "", "x:9", "^x"])
        case 1:
            collection.bytes_list.value.append(b"\xff\x01\x02")
        case 2:
            collection.int64_list.value.extend([1, -1])
        case 3:
            collection.float_list.value.append(float("nan"))
        case 4:
            collection.any_list.value.add(type_url="type.googleapis.com/x", value=b"\xff")
        case _:
            collection.Clear()


def entries_of_collection(victim: Victim) -> None:
    collection = victim.choose(list(victim.meta_graph().collection_def.values()))
    values = getattr(collection, collection.WhichOneof("kind") or "bytes_list").value
    match victim.random.randrange(4):
        case 0:
            values.extend([values[0]] * victim.choose([1, 50]) if values else [])
        case 1 if values:
            del values[victim.random.randrange(len(values))]
        case _ if values and isinstance(values[0], bytes):
            position = victim.random.randrange(len(values))
            content = bytearray(values[position] or b"\0")
            content[victim.random.randrange(len(content))] ^= 1 << victim.random.randrange(8)
            values[position] = bytes(content)
        case _ if values and isinstance(values[0], str):
            position = victim.random.randrange(len(values))
            values[position] = victim.choose(["nowhere", victim.node().name, *NAMES])


def variable_defs(victim: Victim) -> None:
    names = [k for k in _KEYS[:3] if k in victim.meta_graph().collection_def]
    values = victim.meta_graph().collection_def[victim.choose(names)].bytes_list.value
    position = victim.random.randrange(len(values)) if values else victim.choose([])
    definition = variable_pb2.VariableDef.FromString(values[position])
    part = definition.save_slice_info_def
    match victim.random.randrange(9):
        case 0:
            definition.variable_name = victim.choose([*NAMES, "nowhere:0", victim.node().name])
        case 1:
            definition.initializer_name = victim.choose(["", "nowhere", victim.node().name])
        case 2:
            definition.initial_value_name = victim.choose(["nowhere:0", f"{victim.node().name}:7"])
        case 3:
            part.full_name = victim.choose([*NAMES, "other"])
        case 4:
            part.full_name = part.full_name or definition.variable_name.split(":")[0]
            part.full_shape[:] = victim.choose([[], [1], NUMBERS, [2**40, 1], [4, 3]])
        case 5:
            part.full_name = part.full_name or definition.variable_name.split(":")[0]
            part.var_offset[:] = victim.choose([[], [1], [-1, 0], [2**40, 0], [0, 0], [1, 0]])
        case 6:
            part.var_shape[:] = [2**40]
        case 7:
            definition.ClearField("save_slice_info_def")
        case _:
            part.full_name = "overlap"
            part.full_shape[:] = [4, 3]
            part.var_offset[:] = [1, 0]
    values[position] = definition.SerializeToString()


def contexts(victim: Victim) -> None:
    """A loop or conditional of nodes that are not there, or inside itself."""
    meta_graph = victim.meta_graph()
    known = [k for k in ("while_context", "cond_context") if k in meta_graph.collection_def]
    key = victim.choose([*known, *known, "while_context", "cond_context"])
    kind = {
        "while_context": control_flow_pb2.WhileContextDef,
        "cond_context": control_flow_pb2.CondContextDef,
    }[key]
    values = meta_graph.collection_def[key].bytes_list.value
    context = kind.FromString(values[0]) if values else kind()
    names = ["nowhere:0", "", f"{victim.node().name}:0", victim.node().name, "^x", "x:9"]
    fields = [f.name for f in kind.DESCRIPTOR.fields if f.name.endswith(("_name", "pivot_name"))]
    match victim.random.randrange(7):
        case 0:
            setattr(context, victim.choose(fields), victim.choose(names))
        case 1:
            context.values_def.values.extend(names)
        case 2:
            context.values_def.external_values[victim.choose(names)] = victim.choose(names)
        case 3:
            inner = context
            for _ in range(victim.choose([1, 8, 30])):
                nested = inner.nested_contexts.add()
                inner = getattr(nested, "while_ctxt" if "while" in key else "cond_ctxt")
                inner.context_name = "nested"
        case 4:
            del context.values_def.values[:]
        case 5 if key == "while_context":
            context.loop_exit_names.append(victim.choose(names))
            context.loop_enter_names.append(victim.choose(names))
        case _:
            for field in fields:
                setattr(context, field, victim.choose(names))
    if values:
        values[0] = context.SerializeToString()
    else:
        values.append(context.SerializeToString())


def asset_entries(victim: Victim) -> None:
    """A file name that leads elsewhere, a tensor that is no path."""
    known = [m for m in victim.saved_model.meta_graphs if ASSETS_COLLECTION in m.collection_def]
    meta_graph = victim.choose([*known, *known, *victim.saved_model.meta_graphs])
    entries = meta_graph.collection_def[ASSETS_COLLECTION].any_list.value
    asset = meta_graph_pb2.AssetFileDef(filename=victim.choose(_FILES))
    asset.tensor_info.name = f"{victim.node(lambda node: node.op == 'Const').name}:0"
    if entries:
        entries[0].Unpack(asset)
    match victim.random.randrange(5):
        case 0:
            asset.tensor_info.name = victim.choose(["nowhere:0", "", f"{victim.node().name}:0"])
        case 1:
            # A file that is there, under a hostile name or as another tensor's.
            asset.tensor_info.name = f"{victim.node().name}:0"
        case 2 if entries:
            entries[0].value = entries[0].value[:-1]
            return
        case _:
            asset.filename = victim.choose(_FILES)
    packed = any_pb2.Any()
    packed.Pack(asset)
    if entries and victim.random.random() < 0.7:
        entries[0].CopyFrom(packed)
    else:
        entries.add().CopyFrom(packed)


def attachments(victim: Victim) -> None:
    values = victim.meta_graph().collection_def[ATTACHMENTS_COLLECTION].bytes_list.value
    one = ModuleAttachment(key="image_module_info", value=b"\xff\xff")
    values.append(
        victim.choose([b"\xff\xff", b"\x0a\x01\xff", b"", one.SerializeToString(), b"\x0a\x7fx"])
    )


def repeat_variant(victim: Victim) -> None:
    graphs = victim.saved_model.meta_graphs
    graphs.add().CopyFrom(victim.choose(graphs))
    if victim.random.random() < 0.5:
        graphs[-1].meta_info_def.tags.append("again")


def drop_part(victim: Victim) -> None:
    meta_graph = victim.meta_graph()
    meta_graph.ClearField(
        victim.choose(["graph_def", "meta_info_def", "collection_def", "signature_def"])
    )


MUTATIONS = [
    tensor_of_signature,
    dtype_of_signature,
    shape_of_signature,
    kind_of_signature,
    composite_of_signature,
    inputs_and_outputs,
    names_of_signatures,
    tags,
    kind_of_collection,
    entries_of_collection,
    variable_defs,
    contexts,
    asset_entries,
    attachments,
    repeat_variant,
    drop_part,
]
