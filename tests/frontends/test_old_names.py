"""What code for the original library asks for, and is told; docs/migration.md names it all."""

import importlib
import inspect
import json
import re
import sys

import keras
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.documents import ROOT, prose
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.frontends import old_names
from hub_keras_bridge.frontends.old_names import SUBMODULES, SUCCESSORS

# What the original library has, recorded from it; the file says how.
RECORDED = json.loads((ROOT / "tests" / "golden" / "original_names.json").read_text())
HERE = {"KerasLayer": hub.ModuleLayer, "ParsedTensorInfo": ParsedTensorInfo}
# A module of this package's own.
REAL = {"version"}


def rows():
    """The tables of the page: what the first column names -> the cells after it."""
    _, text = prose("docs/migration.md").split("\n## Each name\n")
    found = re.findall(r"^\| `(\w+\.\w+)` \|(.*)\|$", text, re.MULTILINE)
    assert len(found) == len(dict(found))
    return {name: [cell.strip() for cell in cells.split(" | ")] for name, cells in found}


ROWS = rows()
SUBMODULE_ROWS = {name: cells for name, cells in ROWS.items() if len(cells) == 2}
NAME_ROWS = {name: cell for name, (cell, *more) in ROWS.items() if not more}


def recorded_names():
    """Dotted name -> how it is called, or its kind."""
    top = {f"hub.{n}": kind for n, kind in RECORDED["names"].items() if kind != "module"}
    members = {
        f"{owner}.{name}": kind
        for owner, names in RECORDED["members"].items()
        for name, kind in names.items()
    }
    return top | members


def found_here(name):
    owner, _, attribute = name.rpartition(".")
    found = hub if owner == "hub" else HERE.get(owner) or getattr(hub, owner)
    fields = getattr(found, "__dataclass_fields__", {})
    return fields[attribute] if attribute in fields else getattr(found, attribute)


def test_the_record_tells_its_source():
    assert RECORDED["source"].endswith("with tensorflow-hub 0.15.0 on tensorflow-cpu 2.15.1")
    assert (ROOT / "scripts" / "original" / "names.py").exists()


def test_the_table_is_complete():
    assert set(NAME_ROWS) == set(recorded_names())
    modules = {name for name, kind in RECORDED["names"].items() if kind == "module"}
    assert set(RECORDED["submodules"]) == modules
    assert {name.removeprefix("hub.") for name in SUBMODULE_ROWS} == modules


def signature(text):
    return inspect.signature(eval(f"lambda {text.removeprefix('(').removesuffix(')')}: None"))


def calls(recorded):
    """By position as far as that goes, by name, and with no more than is needed."""
    parameters = list(recorded.parameters)
    end = parameters.index("_sentinel") if "_sentinel" in parameters else None
    public = [name for name in parameters if name != "_sentinel"]
    needed = [
        name for name in public if recorded.parameters[name].default is inspect.Parameter.empty
    ]
    yield parameters[:end], {}
    yield [], dict(zip(public, public, strict=True))
    yield needed, {}


@pytest.mark.parametrize("name", [name for name, cell in NAME_ROWS.items() if cell == "the same"])
def test_the_same(name):
    here, kind = found_here(name), recorded_names()[name]
    if not kind.startswith("("):
        assert here is not None
        return
    recorded, found = signature(kind), inspect.signature(here)
    for positional, named in calls(recorded):
        expected = recorded.bind(*positional, **named).arguments
        assert found.bind(*positional, **named).arguments == expected


@pytest.mark.parametrize("name", [name for name, cell in NAME_ROWS.items() if cell != "the same"])
def test_another_name(name):
    """What the table advises is there."""
    known = {"hub": hub, "layer": keras.layers.Layer(), "tf": tf}
    for code in re.findall("`([^`]*)`", NAME_ROWS[name]):
        word = code.partition("(")[0]
        if word.partition(".")[0] in known and code != "tf.estimator.Exporter":
            assert callable(eval(word, known)), word


# --- submodules ---


def told(cell):
    """A cell's entries: a bare one by None, those of names by these."""
    return {name or None: text for name, text in re.findall(r"(?:`(\w+)`: )?`([^`]+)`", cell)}


@pytest.mark.parametrize("row", SUBMODULE_ROWS)
def test_submodule(row):
    name = row.removeprefix("hub.")
    there, instead = SUBMODULE_ROWS[row]
    here = dict(re.findall(r"`(\w+)`(?:: `(\w+)`)?", there))
    if name not in REAL:
        found = {known: path.rpartition(".")[2] for known, path in SUBMODULES.get(name, {}).items()}
        assert {known: target or known for known, target in here.items()} == found
    if here:
        module = importlib.import_module(f"hub_keras_bridge.{name}")
        assert module is getattr(hub, name)
        for known, target in here.items():
            face = HERE if known == "ParsedTensorInfo" else vars(hub)
            assert getattr(module, known) is face[target or known]
    texts = {key: value for key, value in SUCCESSORS.items() if "nothing" not in value}
    expected = {
        key.partition(".")[2] or None: value
        for key, value in texts.items()
        if key.partition(".")[0] == name
    }
    assert told(instead) == (expected if name != "version" else {None: "hub.__version__"})
    assert bool(expected) or instead == "nothing" or name == "version"


ABSENT = [
    f"{submodule}.{name}"
    for submodule, names in RECORDED["submodules"].items()
    if submodule not in REAL
    for name in names
    if name not in SUBMODULES.get(submodule, {})
]


@pytest.mark.parametrize("name", ABSENT)
def test_what_a_submodule_lacks(name):
    submodule, attribute = name.split(".")
    if submodule in SUBMODULES:
        asked, where = attribute, f"hub_keras_bridge.{submodule}"
    else:
        asked, where = submodule, "hub_keras_bridge"
    successor = SUCCESSORS.get(name) or SUCCESSORS.get(submodule)
    advice = f"; use {successor}, see docs/migration.md" if successor else "; see docs/migration.md"
    with pytest.raises(ImportError) as imported:
        exec(f"from hub_keras_bridge.{submodule} import {attribute}")
    assert str(imported.value) == f"cannot import name {asked!r} from {where!r}{advice}"
    with pytest.raises(AttributeError) as looked_up:
        eval(f"hub.{name}")
    assert str(looked_up.value) == f"module {where!r} has no attribute {asked!r}{advice}"


def test_ways_to_import():
    from hub_keras_bridge import image_util, module_v2, registry
    from hub_keras_bridge.facts.reading import load_module_spec
    from hub_keras_bridge.publishing.expected_images import get_expected_image_size

    assert get_expected_image_size is image_util.get_expected_image_size
    assert get_expected_image_size is hub.get_expected_image_size
    assert load_module_spec is hub.load_module_spec
    assert (module_v2.load, registry.resolver) == (hub.load, hub.resolve)


@pytest.mark.parametrize("name", [name for name in SUCCESSORS if "." not in name])
def test_names_that_have_a_successor(name):
    text = f"{name!r} from 'hub_keras_bridge'; use {SUCCESSORS[name]}, see docs/migration.md"
    with pytest.raises(AttributeError) as caught:
        getattr(hub, name)
    assert str(caught.value) == (
        f"module 'hub_keras_bridge' has no attribute {name!r}; use {SUCCESSORS[name]}, "
        "see docs/migration.md"
    )
    assert not hasattr(hub, name)
    for statement in (
        f"import hub_keras_bridge.{name}",
        f"from hub_keras_bridge import {name}",
        f"from hub_keras_bridge.{name} import anything",
    ):
        with pytest.raises(ModuleNotFoundError) as missing:
            exec(statement)
        assert str(missing.value) == f"cannot import name {text}"


def test_successors_are_there():
    """The names of this package, of Keras and of TensorFlow in the texts."""
    known = {"hub": hub, "keras": keras, "tf": tf}
    for text in SUCCESSORS.values():
        for word in re.split(r"[\s(),]+", text):
            if word.partition(".")[0] in known:
                assert eval(word, known) is not None, word


MISSPELT = {
    "ModuleLayr": "ModuleLayer",
    "modulelayer": "ModuleLayer",
    "load_module_specs": "load_module_spec",
    "hub_error": "HubError",
    "image_utils": "image_util",
}


@pytest.mark.parametrize("name", MISSPELT)
def test_misspelt_names(name):
    told = f"{name!r} from 'hub_keras_bridge'. Did you mean: {MISSPELT[name]!r}?"
    with pytest.raises(AttributeError) as caught:
        getattr(hub, name)
    assert str(caught.value) == (
        f"module 'hub_keras_bridge' has no attribute {name!r}. Did you mean: {MISSPELT[name]!r}?"
    )
    with pytest.raises(ImportError) as caught:
        exec(f"from hub_keras_bridge import {name}")
    assert str(caught.value) == f"cannot import name {told}"


def test_other_names():
    for name in ("unheard_of", "__wrapped__", "_ModuleLayer"):
        with pytest.raises(AttributeError) as caught:
            getattr(hub, name)
        assert str(caught.value) == f"module 'hub_keras_bridge' has no attribute {name!r}"
    with pytest.raises(ModuleNotFoundError, match=r"No module named .*unheard_of"):
        importlib.import_module("hub_keras_bridge.unheard_of")


def test_dir():
    """What is offered to complete: neither modules on the way, nor what led to the old library."""
    assert dir(hub) == hub.__all__


def test_version_is_this_package_s():
    assert hub.__version__ == hub.version.VERSION


def test_one_finder_however_often_it_is_installed():
    old_names.install()
    finders = [type(finder).__module__ for finder in sys.meta_path]
    assert finders.count("hub_keras_bridge.frontends.old_names") == 1


# --- arguments of KerasLayer ---

DTYPE = "leave dtype out: the signature has those of the inputs; begin the model with keras.Input, "


@pytest.mark.parametrize("dtype", [tf.string, "string", "int32", "bool"])
def test_dtype_of_the_inputs(scale_path, dtype):
    with pytest.raises(hub.InputError) as caught:
        hub.ModuleLayer(scale_path, dtype=dtype)
    assert caught.value.found == f"dtype={tf.as_dtype(dtype).name!r}"
    assert caught.value.subject.module == scale_path
    assert caught.value.advice == DTYPE + 'such as keras.Input((), dtype="string") for text'


def test_dtype_of_the_inputs_of_a_saved_model(scale_path, tmp_path):
    tf.saved_model.save(hub.load(scale_path), tmp_path / "saved")
    with pytest.raises(hub.InputError, match="leave dtype out") as caught:
        hub.ModuleLayer(tmp_path / "saved", dtype=tf.string)
    assert caught.value.subject.module == str(tmp_path / "saved")
    assert hub.ModuleLayer(tmp_path / "saved", dtype="float16")([[1.0, 2.0]]).dtype == tf.float16


@pytest.mark.parametrize(
    ("dtype", "returned"),
    [("float32", "float32"), ("float64", "float64"), ("mixed_bfloat16", "bfloat16")],
)
def test_dtypes_to_return(scale_path, dtype, returned):
    assert hub.ModuleLayer(scale_path, dtype=dtype)([[1.0, 2.0]]).dtype == returned


@pytest.mark.parametrize("argument", ["output_shape", "arguments", "load_options"])
def test_arguments_that_are_gone(scale_path, argument):
    """Keras names them."""
    with pytest.raises(ValueError, match=f"passed to ModuleLayer: .*'{argument}'"):
        hub.ModuleLayer(scale_path, **{argument: None})
