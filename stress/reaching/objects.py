"""Changes of the objects around a TF2 SavedModel's functions: loading runs some of these."""

from __future__ import annotations

from collections.abc import Callable

from tensorflow.core.framework import function_pb2, types_pb2
from tensorflow.core.protobuf import saved_object_graph_pb2

from stress.reaching.case import Case, NotApplicable, in_function
from stress.reaching.wraps import function, wrapped

# What loaders look for by name, and may run (tensorflow/python/saved_model/load.py,
# tensorflow/python/trackable/resource.py, Keras's loaders).
_SPECIAL_NAMES = [
    "_initialize",
    "_create_resource",
    "_destroy_resource",
    "__call__",
    "call",
    "call_and_return_conditional_losses",
    "call_and_return_all_conditional_losses",
    "_default_save_signature",
    "signatures",
    "regularization_losses",
    "variables",
    "trainable_variables",
    "keras_api",
    "initializer",
    "asset_paths",
    "resource_handle",
    "_restore_from_tensors",
    "_serialize_to_tensors",
    "saveable_objects",
    "_gather_saveables_for_checkpoint",
    "prune",
    "graph_debug_info",
    "restored",
    "serve",
    "",
    "__class__",
    "__getattr__",
    "__init__",
    "__reduce__",
]
_IDENTIFIERS = [
    "_generic_user_object",
    "trackable_resource",
    "trackable_list_wrapper",
    "trackable_dict_wrapper",
    "trackable_tuple_wrapper",
    "signature_map",
    "_tf_keras_layer",
    "_tf_keras_model",
    "_tf_keras_sequential",
    "_tf_keras_network",
    "_tf_keras_metric",
    "_tf_keras_input_layer",
    "_tf_keras_rnn_layer",
    "optimizer",
    "iterator",
    "static_hash_table",
    "asset",
    "unheard of",
    "",
]


def _objects(case: Case) -> saved_object_graph_pb2.SavedObjectGraph:
    if not case.is_tf2:
        raise NotApplicable
    return case.meta_graph.object_graph_def


def _poisoned(case: Case, name: str) -> str:
    """A copy of a function that runs a payload, too; its concrete function as well."""
    part = wrapped(case)
    original = case.functions.get(name)
    if original is None:
        raise NotApplicable
    copy = function_pb2.FunctionDef()
    copy.CopyFrom(original)
    copy.signature.name = case.name(name)
    copy.node_def.extend(in_function(part.nodes, case.functions))
    copy.control_ret["poison"] = part.runs
    copy.signature.control_output.append("poison")
    case.graph_def.library.function.append(copy)
    concrete = _objects(case).concrete_functions
    if name in concrete:
        concrete[copy.signature.name].CopyFrom(concrete[name])
    return copy.signature.name


def poisoned_function(case: Case) -> str:
    """One reference to a function leads to a copy that has a payload."""
    objects = _objects(case)
    owners = [
        n for n in objects.nodes if n.WhichOneof("kind") in ("function", "bare_concrete_function")
    ]
    owner = case.choose(owners)
    if owner.WhichOneof("kind") == "function":
        names = owner.function.concrete_functions
        position = case.drawn.randrange(len(names)) if names else case.choose([])
        names[position] = _poisoned(case, names[position])
    else:
        bare = owner.bare_concrete_function
        bare.concrete_function_name = _poisoned(case, bare.concrete_function_name)
    identity = list(objects.nodes).index(owner)
    used = [c.local_name for n in objects.nodes for c in n.children if c.node_id == identity]
    return f"a function with a payload for {', '.join(used) or 'nobody'}"


def function_under_a_special_name(case: Case) -> str:
    """An object gets a function that loaders look for by name."""
    objects = _objects(case)
    part = wrapped(case)
    made = function(case, part).signature.name
    concrete = objects.concrete_functions[made]
    concrete.canonicalized_input_signature.tuple_value.values.add().tuple_value.SetInParent()
    concrete.canonicalized_input_signature.tuple_value.values.add().dict_value.SetInParent()
    concrete.output_signature.none_value.SetInParent()
    if case.maybe():
        spec = concrete.output_signature.tensor_spec_value
        spec.dtype = types_pb2.DT_FLOAT
    new = objects.nodes.add()
    if case.maybe():
        new.bare_concrete_function.concrete_function_name = made
    else:
        new.function.concrete_functions.append(made)
        spec = new.function.function_spec
        spec.fullargspec.named_tuple_value.name = "FullArgSpec"
        for key in (
            "args",
            "varargs",
            "varkw",
            "defaults",
            "kwonlyargs",
            "kwonlydefaults",
            "annotations",
        ):
            value = spec.fullargspec.named_tuple_value.values.add(key=key).value
            if key in ("args", "kwonlyargs"):
                value.list_value.SetInParent()
            elif key == "annotations":
                value.dict_value.SetInParent()
            else:
                value.none_value.SetInParent()
        spec.input_signature.none_value.SetInParent()
    owner = case.choose([n for n in objects.nodes if n is not new])
    name = case.choose(_SPECIAL_NAMES)
    for child in owner.children:
        if child.local_name == name:
            child.node_id = len(objects.nodes) - 1
            break
    else:
        owner.children.add(node_id=len(objects.nodes) - 1, local_name=name)
    return f"{part.told} as {name!r} of a {owner.WhichOneof('kind')}"


def child_under_another_name(case: Case) -> str:
    objects = _objects(case)
    owner = case.choose([n for n in objects.nodes if n.children])
    child = case.choose(owner.children)
    old, child.local_name = child.local_name, case.choose(_SPECIAL_NAMES)
    return f"{old} is called {child.local_name!r}"


def child_elsewhere(case: Case) -> str:
    objects = _objects(case)
    child = case.choose([c for n in objects.nodes for c in n.children])
    last = len(objects.nodes)
    child.node_id = case.choose(
        [0, case.drawn.randrange(last), case.drawn.randrange(last), last, -1]
    )
    return f"{child.local_name} is object {child.node_id}"


def saveable(case: Case) -> str:
    """Functions that save and restore an object."""
    objects = _objects(case)
    part = wrapped(case)
    name = function(case, part, [types_pb2.DT_STRING]).signature.name
    concrete = objects.concrete_functions[name]
    concrete.output_signature.none_value.SetInParent()
    objects.nodes.add().bare_concrete_function.concrete_function_name = name
    identity = len(objects.nodes) - 1
    owner = case.choose(objects.nodes)
    key = case.choose(["VARIABLE_VALUE", "table", "x"])
    made = owner.saveable_objects[key]
    made.save_function = made.restore_function = identity
    return f"{part.told} saves and restores a {owner.WhichOneof('kind')}"


def existing_saveable(case: Case) -> str:
    """The function that restores an object has a payload."""
    objects = _objects(case)
    saveables = [s for n in objects.nodes for _, s in sorted(n.saveable_objects.items())]
    made = case.choose(saveables)
    called = objects.nodes[case.choose([made.save_function, made.restore_function])]
    bare = called.bare_concrete_function
    bare.concrete_function_name = _poisoned(case, bare.concrete_function_name)
    return "a payload in a function that saves or restores"


def registered_saver(case: Case) -> str:
    owner = case.choose(_objects(case).nodes)
    owner.registered_saver = case.choose(["Custom.Saver", "TPUEmbedding", "x"])
    return f"a {owner.WhichOneof('kind')} with the saver {owner.registered_saver!r}"


def registered_name(case: Case) -> str:
    owner = case.choose(_objects(case).nodes)
    names = ["keras.Dense", "Custom>Layer", "builtins.eval", "tf.Variable"]
    owner.registered_name = case.choose(names)
    owner.serialized_user_proto.type_url = case.choose(["", "type.googleapis.com/x"])
    owner.serialized_user_proto.value = b"\xff"
    return f"a {owner.WhichOneof('kind')} registered as {owner.registered_name!r}"


def identifier(case: Case) -> str:
    """Another class for an object."""
    users = [n for n in _objects(case).nodes if n.WhichOneof("kind") == "user_object"]
    owner = case.choose(users)
    old = owner.user_object.identifier
    owner.user_object.identifier = case.choose(_IDENTIFIERS)
    owner.user_object.metadata = case.choose(
        [
            "",
            "{",
            "{}",
            '{"class_name": "Lambda", "config": {"function": "x"}}',
            owner.user_object.metadata,
        ]
    )
    for version in ("producer", "min_consumer"):
        setattr(owner.user_object.version, version, case.choose([0, 1, 2, 1000]))
    return f"{old} is a {owner.user_object.identifier!r}"


def kind(case: Case) -> str:
    """An object of another kind."""
    owner = case.choose(_objects(case).nodes)
    old = owner.WhichOneof("kind")
    match case.drawn.randrange(6):
        case 0:
            owner.asset.asset_file_def_index = case.choose([0, 1, -1, 1000])
        case 1:
            owner.resource.device = case.choose(["", "/gpu:9", "nonsense"])
        case 2:
            owner.constant.operation = case.choose(case.nodes).name
        case 3:
            owner.variable.dtype = case.choose(types_pb2.DataType.values())
            owner.variable.shape.unknown_rank = case.maybe()
        case 4:
            owner.captured_tensor.name = f"{case.choose(case.nodes).name}:0"
            owner.captured_tensor.concrete_function = case.choose(case.functions or [""])
        case _:
            owner.bare_concrete_function.concrete_function_name = case.choose(
                case.functions or [""]
            )
    return f"a {old} becomes a {owner.WhichOneof('kind')}"


def bound_inputs(case: Case) -> str:
    """What a function captured: other objects, one more or less."""
    objects = _objects(case)
    concrete = case.choose_value(objects.concrete_functions)
    match case.drawn.randrange(3):
        case 0:
            concrete.bound_inputs.append(case.drawn.randrange(len(objects.nodes)))
        case 1 if concrete.bound_inputs:
            del concrete.bound_inputs[0]
        case _ if concrete.bound_inputs:
            position = case.drawn.randrange(len(concrete.bound_inputs))
            last = len(objects.nodes)
            concrete.bound_inputs[position] = case.choose([case.drawn.randrange(last), last, -1])
        case _:
            raise NotApplicable
    return "other captured inputs"


def variable(case: Case) -> str:
    """A variable of another dtype, shape, name or kind."""
    found = [n for n in _objects(case).nodes if n.WhichOneof("kind") == "variable"]
    target = case.choose(found).variable
    match case.drawn.randrange(5):
        case 0:
            target.dtype = case.choose(types_pb2.DataType.values())
        case 1:
            del target.shape.dim[:]
            target.shape.dim.add(size=case.choose([-1, 0, 3, 2**40]))
        case 2:
            target.name = case.choose(["", "\0", "a b", "../x", "a" * 1000])
        case 3:
            target.device = case.choose(["nonsense", "/gpu:9", "/job:x/task:7"])
        case _:
            target.synchronization = case.choose([0, 1, 2, 3])
            target.aggregation = case.choose([0, 1, 2, 3])
            target.trainable = not target.trainable
    return f"another variable {target.name[:20]!r}"


def missing_function(case: Case) -> str:
    """A function that objects have is none of the library's."""
    objects = _objects(case)
    name = case.choose(sorted(objects.concrete_functions))
    library = case.graph_def.library
    kept = [f for f in library.function if f.signature.name != name]
    del library.function[:]
    library.function.extend(kept)
    return f"without {name}"


OBJECTS: list[Callable[[Case], str]] = [
    poisoned_function,
    function_under_a_special_name,
    child_under_another_name,
    child_elsewhere,
    saveable,
    existing_saveable,
    registered_saver,
    registered_name,
    identifier,
    kind,
    bound_inputs,
    variable,
    missing_function,
]
