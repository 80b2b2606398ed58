"""How the package hangs together: its layers, its private doors, its names."""

import ast
import pathlib

import hub_keras_bridge as hub

PACKAGE = pathlib.Path(hub.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Each module imports only from rows above its own, or, where a row says so by
# its order, from the left.
FLOORS = [
    ["checkpoints", "fetch", "graphs", "ops", "pages", "saved_models"],
    [
        "version",
        "errors",
        "ops.packages",
        "messages",
        "fetch.urls",
        "fetch.progress",
        "fetch.ownership",
        "precision",
        "checkpoints.partitions",
        "checkpoints.snappy",
        "input_advice",
        "old_names",
        "saved_models.absent",
        "durable",
        "locks",
    ],
    ["trust", "graphs.graph"],
    [
        "tf_errors",
        "compat",
        "fetch.settings",
        "legible",
        "pages.style",
        "layout",
        "fetch.files",
        "soundness",
        "checkpoints.table",
        "unfinished",
    ],
    [
        "checkpoints.index",
        "archive.names",
        "archive.source",
        "fetch.foreign",
        "pages.markup",
        "module_summary",
    ],
    ["archive.members", "archive.writing", "fetch.download"],
    ["archive.reading"],
    ["archive"],
    ["fetch.integrity"],
    ["fetch.cache_entries", "fetch.kaggle"],
    ["fetch.remote_entries"],
    ["fetch.cache"],
    ["fetch.archived"],
    ["fetch.remote"],
    ["fetch.hosting"],
    ["resolve", "embedding_file", "format", "ops.facts", "graphs.library"],
    ["targets", "ops.unregistered"],
    [
        "graphs.prune",
        "graphs.published",
        "tensor_info",
        "graphs.contexts",
        "export",
        "convert_preflight",
    ],
    [
        "graphs.legacy",
        "graphs.colocation",
        "graphs.batch_norm",
        "graphs.sparse_lookup",
        "graphs.calls",
        "graphs.control_flow.subgraph",
    ],
    ["tables", "tables.formats", "tables.files", "tables.arrays"],
    ["tables.preflight"],
    ["tables.columns", "tables.rows", "tables.writer"],
    ["tables.reader"],
    ["graphs.control_flow.hoist", "graphs.control_flow.order"],
    ["graphs.control_flow.conds", "graphs.control_flow.tensor_arrays"],
    ["graphs.control_flow.loops"],
    ["graphs.control_flow.rewrite"],
    ["graphs.control_flow"],
    ["variant"],
    ["checkpoints.checkpoint", "plan", "pages.signature_table"],
    ["forking", "replicas", "resources", "seeds"],
    ["spec", "ops.reach", "asset_paths", "call_checks"],
    ["audit", "ops.rules"],
    ["runtime"],
    ["initial", "endpoint", "portable", "authoring"],
    ["function_call"],
    ["graph_state", "lifted_state"],
    ["selection", "shapes"],
    ["symbolic", "xla", "saved_models.inputs", "session_values"],
    [
        "saved_models.restored_graph",
        "saved_models.signatures",
        "saved_models.pruned",
        "saved_models.looked_at",
        "saved_models.objects",
    ],
    ["saved_models.restored", "saved_models.loaded"],
    ["saved_models.source", "saved_models.tflite"],
    ["saved_models.layer"],
    ["layer", "module", "image_info", "text_embedding", "saved_models.publishing"],
    [
        "common_signatures",
        "inspection",
        "latest_exporter",
        "batch_runner",
        "loaded_in_graph",
    ],
    ["load", "deep_check"],
    ["apply", "beam", "convert", "feature_column", "keras_2_layer", "pages.parameters"],
    ["feature_column_v2"],
    ["pages.page"],
    [""],
    ["cli.startup", "cli.error_line", "cli.only_signature"],
    ["cli.main", "cli.file_bar", "cli.demo_experiment", "cli.inspect_text", "cli.options"],
    [
        "cli",
        "cli.demo",
        "cli.apply",
        "cli.audit",
        "cli.cache",
        "cli.check_signatures",
        "cli.convert",
        "cli.inspect",
        "cli.pack",
        "cli.publish_text_embedding",
        "cli.resolve",
    ],
]


def name_of(path):
    relative = path.relative_to(PACKAGE).with_suffix("")
    return ".".join(part for part in relative.parts if part != "__init__")


def imports(path):
    """Names of the package's own modules that a module imports."""
    known = {name_of(p) for p in MODULES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        inside = [n for n in names if n.split(".")[0] == "hub_keras_bridge"]
        stripped = {n.removeprefix("hub_keras_bridge").removeprefix(".") for n in inside}
        # "from hub_keras_bridge import graph" imports graph, not the face.
        if len(stripped & known) > 1:
            stripped.discard("")
        found |= stripped & known
    return found - {name_of(path)}


def test_every_module_has_its_floor():
    assert sorted(name for floor in FLOORS for name in floor) == sorted(map(name_of, MODULES))


def test_imports_come_from_below():
    height = {name: level for level, floor in enumerate(FLOORS) for name in floor}
    upward = [
        f"{name_of(path)} imports {other}"
        for path in MODULES
        for other in imports(path)
        if height[other] >= height[name_of(path)]
    ]
    assert upward == []


def test_private_names_of_tensorflow_and_keras_stay_behind_one_door():
    def is_private(module):
        return module.startswith(("tensorflow.python", "keras.src"))

    guilty = [
        f"{name_of(path)}: {module}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        for module in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
        if is_private(module) and name_of(path) != "compat"
    ]
    assert guilty == []


def test_public_names():
    assert hub.__all__ == sorted(hub.__all__)
    for name in hub.__all__:
        assert getattr(hub, name) is not None


def test_importing_has_no_side_effects_on_tensorflow(tmp_path):
    """Nothing is patched: the classes that others see are TensorFlow's own."""
    import keras
    import tensorflow as tf

    assert tf.Tensor.__module__.startswith("tensorflow.")
    assert keras.layers.Layer.__call__.__module__.startswith("keras.")
