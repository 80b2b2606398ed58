"""How the package hangs together: its layers, its private doors, its names."""

import ast
import graphlib
import pathlib
import statistics

import hub_keras_bridge as hub

PACKAGE = pathlib.Path(hub.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Rooms from the ground up; those side by side do not know each other.
ROOMS = [
    ["errors", "version"],
    ["compat"],
    ["files", "graphs"],
    ["facts"],
    ["plans", "publishing"],
    ["running"],
    ["frontends"],
    ["tools"],
    ["beam", "cli"],
]


def name_of(path):
    """A module's dotted name within the package; that of the package itself is empty."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(name):
    return name.partition(".")[0]


def imports(path):
    """The modules of the package that a module imports, in functions, too."""
    known = set(map(name_of, MODULES))
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [(alias.name, "") for alias in node.names]
        for module, name in names:
            if module.partition(".")[0] == PACKAGE.name:
                inside = module.removeprefix(PACKAGE.name).removeprefix(".")
                whole = f"{inside}.{name}".strip(".")
                found.add(whole if whole in known else inside)
    return found


IMPORTS = {name_of(path): imports(path) for path in MODULES}
FACES = ("", "__main__")


def test_rooms_import_from_rooms_below():
    floor = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}
    upward = [
        f"{name} imports {other or 'the package'}"
        for name, others in IMPORTS.items()
        for other in others
        if name not in FACES and room_of(name) != room_of(other)
        if other in FACES or floor[room_of(other)] >= floor[room_of(name)]
    ]
    assert upward == []


def test_no_circles():
    try:
        tuple(graphlib.TopologicalSorter(IMPORTS).static_order())
    except graphlib.CycleError as error:
        raise AssertionError(" imports ".join(error.args[1][::-1])) from error


def test_few_doors():
    """What lies at the package's root: the rooms, and two doors that users name."""
    found = {path.name for path in PACKAGE.iterdir() if not path.name.startswith("__")}
    rooms = {room for rooms in ROOMS for room in rooms}
    assert {name.removesuffix(".py") for name in found} - {"py.typed"} == rooms
    assert len(found - {"py.typed", "version.py"}) <= 12


def test_files_are_short():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name for name, length in lengths.items() if length > 400} == set()
    assert statistics.median(lengths.values()) <= 130


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
        if is_private(module) and room_of(name_of(path)) != "compat"
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
