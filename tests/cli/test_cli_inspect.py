"""The command that looks into a module."""

import io
import json
import sys

import pytest
import tensorflow as tf
from rich.console import Console
from rich.text import Text

import hub_keras_bridge as hub
from helpers.hostile_module import write_hostile_module
from helpers.places import DM21, ZOO, needs_dm21
from hub_keras_bridge.cli import main
from hub_keras_bridge.tools.inspect.inspection import inspect_module
from hub_keras_bridge.tools.inspect.snippet import snippet
from hub_keras_bridge.tools.inspect.text import format_summary

GOLDENS = sorted(folder.name for folder in ZOO.iterdir())


def run(capsys, *argv):
    status = main(["inspect", *map(str, argv)])
    told = capsys.readouterr()
    assert told.err == ""
    assert status == 0
    return told.out


def block(text, title):
    """The lines below a title."""
    lines = text.splitlines()
    start = lines.index(title) + 1
    end = lines.index("", start) if "" in lines[start:] else len(lines)
    return lines[start:end]


@pytest.mark.parametrize("name", GOLDENS)
def test_text_of_every_golden(name, capsys):
    shown = run(capsys, ZOO / name / "module")
    module = inspect_module(hub.load_module_spec(ZOO / name / "module"))
    assert f"Parameters  {module.parameters:,}, " in shown
    for variable in module.variables:
        assert variable.name in shown
    for variant in module.variants:
        assert all(signature.name in shown for signature in variant.signatures)
        assert f"{variant.nodes:,}" in shown
    assert all(line == line.rstrip() for line in shown.splitlines())
    # What is to be pasted is not broken.
    tables, _, _ = narrow(name, 80).partition("\nIn Keras\n")
    assert all(len(line) <= 80 for line in tables.splitlines())


def test_text(capsys):
    shown = run(capsys, ZOO / "mlp_bn" / "module")
    assert "Variants    {}, {'train'}\n" in shown
    assert "Parameters  2,122, 97.0 % trainable\nWeights     8.5 kB in 8 variables\n" in shown
    assert block(shown, "Signatures")[2:] == [
        "default     in    default              float32 [?, 51]",
        "            out   default              float32 [?, 10]",
        "            out   hidden_activations   float32 [?, 32]",
    ]
    assert block(shown, "Parameters by scope") == [
        "Scope    Variables   Parameters    Share",
        "────────────────────────────────────────",
        "layer1           2        1,664   78.4 %",
        "layer2           2          330   15.6 %",
        "bn               4          128    6.0 %",
    ]
    variables = block(shown, "Variables")
    assert variables[2] == "layer1/kernel                        float32 [51, 32]        1,632"
    assert "bn/moving_mean (not trainable)       float32 [32]               32" in variables
    assert block(shown, "Regularization losses (2)") == [
        "layer1/kernel/Regularizer/mul:0",
        "layer2/kernel/Regularizer/mul:0",
    ]
    assert block(shown, "Update ops (2)") == [
        "bn/AssignMovingAvg/AssignSubVariableOp (in variant {'train'})",
        "bn/AssignMovingAvg_1/AssignSubVariableOp (in variant {'train'})",
    ]
    assert "\nAssets  none\n\nAttachments  none\n" in shown


def test_signatures_that_differ_between_variants(capsys):
    lines = block(run(capsys, ZOO / "variants" / "module"), "Signatures")
    assert lines[2] == "default (in variants {}, {'train'})     in    default   float32 [?, 5]"


def test_assets_and_attachments(capsys):
    assert block(run(capsys, ZOO / "text_embed" / "module"), "Assets")[2:] == [
        "zoo_vocab_1.txt   asset_path:0     204 B"
    ]
    assert block(run(capsys, ZOO / "convnet" / "module"), "Attachments")[2:] == [
        "image_module_info   default image size: height 32, width 32    6 B"
    ]


def test_ops_side_by_side(capsys):
    lines = block(run(capsys, ZOO / "mlp_bn" / "module"), "Ops by type")
    assert lines[0].split() == ["Op", "{}", "{'train'}"]
    assert ["AssignSubVariableOp", "0", "2"] in [line.split() for line in lines]
    lines = block(run(capsys, ZOO / "rnn" / "module"), "Ops by type")
    assert lines[0].split() == ["Op", "Nodes"]
    assert lines[2].split() == ["Const", "(8", "in", "functions)", "64"]


def narrow(name, columns, **kwargs):
    console = Console(width=columns, file=io.StringIO(), **kwargs)
    return format_summary(inspect_module(hub.load_module_spec(ZOO / name / "module")), console)


def test_names_break_after_a_slash():
    lines = [line.split() for line in block(narrow("bert_tiny", 44), "Variables")]
    start = lines.index(["bert/layer_0/", "float32", "[64,", "4,096"])
    assert lines[start + 1] == ["query/kernel", "64]"]


def test_shapes_fold_before_names():
    lines = [line.split() for line in block(narrow("bert_tiny", 60), "Variables")]
    start = lines.index(["bert/word_embeddings", "float32", "[300,", "19,200"])
    assert lines[start + 1] == ["64]"]


@pytest.mark.parametrize("columns", ["40", "80"])
def test_no_line_is_broken_in_a_pipe(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    lines = block(run(capsys, ZOO / "bert_tiny" / "module"), "Variables")
    module = inspect_module(hub.load_module_spec(ZOO / "bert_tiny" / "module"))
    assert [line.split()[0] for line in lines[2:]] == [v.name for v in module.variables]


def test_a_terminal_has_its_width(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "44")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shown = Text.from_ansi(run(capsys, ZOO / "bert_tiny" / "module")).plain
    tables, _, code = shown.partition("\nIn Keras\n")
    assert max(len(line) for line in tables.splitlines()) == 44
    assert f'layer = hub.ModuleLayer("{ZOO / "bert_tiny" / "module"}", signature="tokens")' in code


def test_a_terminal_gets_the_first_rows_and_all_if_asked(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    shown = Text.from_ansi(run(capsys, ZOO / "bert_tiny" / "module")).plain
    variables = block(shown, "Variables")[2:]
    count = len(inspect_module(hub.load_module_spec(ZOO / "bert_tiny" / "module")).variables)
    assert len(variables) == 8
    assert variables[-1] == f"and {count - 7} more (all with --all)"
    shown = Text.from_ansi(run(capsys, ZOO / "bert_tiny" / "module", "--all")).plain
    assert len(block(shown, "Variables")[2:]) == count


@pytest.mark.parametrize("name", GOLDENS)
def test_the_snippet_runs(name):
    module = inspect_module(hub.load_module_spec(ZOO / name / "module"))
    *lines, call = snippet(module).splitlines()
    found = {}
    exec("\n".join(lines), found)
    inputs = module.variants[0].signatures[0].inputs
    assert found["layer"].trainable is False
    assert call.startswith("y = layer(")
    assert len(inputs) == 1 or all(repr(i.name)[1:-1] in call for i in inputs)


def test_of_many_losses_the_first(publish, capsys):
    def module_fn():
        x = tf.compat.v1.placeholder(tf.float32, [None])
        for number in range(6):
            loss = tf.constant(0.0, name=f"loss_{number}")
            tf.compat.v1.add_to_collection("regularization_losses", loss)
        hub.add_signature(inputs=x, outputs=x)

    path = publish(module_fn)
    assert block(run(capsys, path), "Regularization losses (6)") == [
        "loss_0:0",
        "loss_1:0",
        "loss_2:0",
        "and 3 more (all with --json)",
    ]
    (variant,) = json.loads(run(capsys, path, "--json"))["variants"]
    assert variant["losses"] == [f"loss_{number}:0" for number in range(6)]


def test_colours_on_a_terminal_only():
    assert "\x1b[1mSignatures\x1b[0m" in narrow("mlp_bn", 80, force_terminal=True)
    assert "\x1b" not in narrow("mlp_bn", 80)


def test_json(capsys):
    facts = json.loads(run(capsys, ZOO / "text_embed" / "module", "--json"))
    assert facts["handle"] == str(ZOO / "text_embed" / "module")
    assert facts["parameters"] == 896
    assert facts["assets"] == [
        {"name": "zoo_vocab_1.txt", "bytes": 204, "tensors": ["asset_path:0"]}
    ]
    (variant,) = facts["variants"]
    assert variant["tags"] == []
    assert variant["signatures"][0]["inputs"] == [
        {"name": "default", "kind": "dense", "dtype": "string", "shape": [None]}
    ]


def test_html(capsys, tmp_path):
    page = tmp_path / "page.html"
    assert run(capsys, ZOO / "mlp_bn" / "module", "--html", page) == f"Page: {page}\n"
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>\n")
    facts = json.loads(run(capsys, ZOO / "mlp_bn" / "module", "--html", page, "--json"))
    assert facts["parameters"] == 2122


def test_page_that_cannot_be_written(capsys, tmp_path):
    target = tmp_path / "no_such_folder" / "page.html"
    assert main(["inspect", str(ZOO / "mlp_bn" / "module"), "--html", str(target)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(
        "hub-keras-bridge inspect: Cannot write the page of a TF1 Hub module. In module "
    )
    assert f"a file that can be written at {target}" in told.err
    assert f"found no folder {target.parent}" in told.err


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (None, "nothing at /"),
        ({}, "an empty directory"),
        ({"tfhub_module.pb": b"\x08\x03", "saved_model.pb": b"cut"}, "saved_model.pb is damaged"),
        ({"tfhub_module.pb": b"\x08\x02", "saved_model.pb": b""}, "format 2"),
    ],
)
def test_no_module(files, found, tmp_path, capsys):
    folder = tmp_path / "m"
    if files is not None:
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
    assert main(["inspect", str(folder)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert found in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_hostile_names_reach_no_terminal(options, tmp_path, capsys):
    write_hostile_module(tmp_path / "m")
    shown = run(capsys, tmp_path / "m", *options)
    assert "<script>alert(1)" in shown
    assert [char for char in shown if not char.isprintable() and char != "\n"] == []


def test_markup_of_the_terminal_library_is_text(tmp_path, capsys):
    write_hostile_module(tmp_path / "m")
    assert "[bold]" in run(capsys, tmp_path / "m").replace("\n", "")


def test_letters_that_the_output_cannot_show(tmp_path, monkeypatch):
    write_hostile_module(tmp_path / "m")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(["inspect", str(tmp_path / "m")]) == 0
    sys.stdout.flush()
    assert rb"\u05e9\u05dc\u05d5\u05dd" in written.getvalue()
    assert written.getvalue().isascii()


@needs_dm21
def test_real_module(capsys):
    shown = run(capsys, DM21)
    assert "Parameters  401,667, 100 % trainable\nWeights     1.6 MB in 28 variables\n" in shown
    assert "default     in    tensor_dict$grid_coords       float32 [?, 3]" in shown
    assert block(shown, "Attachments")[2:] == ["signature_info   not decoded   809 B"]
    losses = block(shown, "Regularization losses (12)")
    assert losses[0] == (
        "hub_wrapper/local_functional_v2/MLP/ResidualBlock/linear/w/Regularizer/l2_regularizer:0"
    )
    assert losses[3:] == ["and 9 more (all with --json)"]
