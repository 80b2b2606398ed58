"""The page of a module."""

import dataclasses
import pathlib
import re

import pytest

import hub_keras_bridge as hub
from helpers.hostile_module import RAW, write_hostile_module
from helpers.html_reader import Page
from helpers.places import DM21, ZOO, needs_dm21
from hub_keras_bridge.tools.inspect import page
from hub_keras_bridge.tools.inspect.inspection import inspect_module
from hub_keras_bridge.tools.inspect.page import render_page
from hub_keras_bridge.tools.inspect.summary import ScopeSummary, VariableSummary

SECTIONS = [
    "Signatures",
    "Parameters by scope",
    "Variables",
    "Training",
    "Assets",
    "Attachments",
    "Ops by type",
]


def summary(name):
    return inspect_module(hub.load_module_spec(ZOO / name / "module"))


def page_of(name):
    return Page(render_page(summary(name)))


def rows(page, columns):
    """The rows of all tables with these headings."""
    return [row for table in page.tables if table[0] == columns for row in table[1:]]


@pytest.mark.parametrize("name", sorted(folder.name for folder in ZOO.iterdir()))
def test_every_golden_has_an_accessible_page(name):
    page = page_of(name)
    assert [text for level, text in page.headings if level == 2] == SECTIONS
    assert page.headings[0] == [1, f"{name}/module"]
    signatures = [text.split(" in ")[0] for level, text in page.headings if level == 3]
    assert set(signatures) == {s.name for v in summary(name).variants for s in v.signatures}
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("caption")) == len(page.tables)
    assert {cell.get("scope") for cell in page.all("th")} == {"col", "row"}
    assert all(image["aria-hidden"] == "true" for image in page.all("svg"))


@pytest.mark.parametrize("name", ["bert_tiny", "text_embed"])
def test_nothing_comes_from_elsewhere(name):
    markup = render_page(summary(name))
    page = Page(markup)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    attributes = {key for _, found in page.elements for key in found}
    assert not attributes & {"src", "href", "srcset", "action", "style"}
    assert not [key for key in attributes if key.startswith("on")]
    assert not re.search(r"url\(|@import|https?:", markup)
    policy = {"http-equiv": "Content-Security-Policy"}
    (found,) = [a for a in page.all("meta") if policy.items() <= a.items()]
    assert found["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_figures_at_the_top():
    shown = "\n".join(page_of("bert_tiny").text)
    assert "Parameters\n127,680\n100 % trainable" in shown
    assert "Weights\n510.7 kB\n39 variables" in shown
    assert "Signatures\n1\n'tokens'" in shown
    assert "Variants\n2\n{}, {'train'}" in shown


def test_signatures():
    page = page_of("bert_tiny")
    found = rows(page, ["Name", "Dtype and shape"])
    assert ["input_ids", "int32 [?, ?]"] in found
    assert ["sequence_output", "float32 [?, ?, 64]"] in found
    assert [3, "tokens in all variants"] in page.headings


def test_signature_without_inputs():
    assert "Inputs: none" in page_of("hyperparams").text


def test_variables():
    found = rows(page_of("mlp_bn"), ["Name", "Dtype and shape", "Parameters"])
    assert ["layer1/kernel", "float32 [51, 32]", "1,632"] in found
    assert ["bn/moving_mean not trainable", "float32 [32]", "32"] in found
    assert len(found) == 8
    (embedding,) = rows(page_of("text_embed"), ["Name", "Dtype and shape", "Parameters"])
    assert embedding[0] == "emb/embeddings slices [19, 16], [19, 16], [18, 16]"


def test_bars_are_as_long_as_their_numbers():
    module = summary("mlp_bn")
    page = Page(render_page(module))
    widths = [
        (rect["class"], float(rect["width"])) for rect in page.all("rect") if rect["width"] != "1"
    ]
    # layer1 has 1664 parameters, layer2 330, bn 128, half of them trainable.
    assert widths == [
        ("fixed", 100),
        ("trained", 100),
        ("fixed", 19.83),
        ("trained", 19.83),
        ("fixed", 7.69),
        ("trained", 3.85),
    ]
    shown = "\n".join(page.text)
    assert "layer1\n1,664\n78.4 %" in shown
    assert "not trainable" in shown


def test_legend_only_where_there_are_two_colours():
    assert "legend" not in [p.get("class", "").split()[-1:] for p in page_of("bert_tiny").all("p")]
    classes = [p.get("class", "") for p in page_of("mlp_bn").all("p")]
    assert "quiet legend" in classes


def test_assets_attachments_losses_and_ops():
    page = page_of("text_embed")
    assert rows(page, ["File", "Its path is in", "Size"]) == [
        ["zoo_vocab_1.txt", "asset_path:0", "204 B"]
    ]
    page = page_of("convnet")
    assert rows(page, ["Key", "Content", "Size"]) == [
        ["image_module_info in all variants", "default image size: height 32, width 32", "6 B"]
    ]
    assert "2 regularization losses in all variants" in page.text
    assert "0 update ops in variant {}" in page.text
    assert "4 update ops in variant {'train'}" in page.text
    assert "conv0/kernel/Regularizer/mul:0" in "".join(page.text)
    ops = rows(page, ["Op", "{}", "{'train'}"])
    assert ["AssignSubVariableOp", "0", "4"] in ops
    assert ops[-1] == ["all", "148", "178"]


def test_ops_in_functions():
    found = rows(page_of("rnn"), ["Op", "Nodes"])
    assert ["Const", "8 in functions 64"] in found


def many(count):
    """A module of many variables, ten in each scope."""
    variables = tuple(
        VariableSummary(
            *(f"net/layer_{i // 10}/w_{i}", f"net/layer_{i // 10}", "float32", (1000,), 1000, 4000),
            *(True, (), ((),)),
        )
        for i in range(count)
    )
    scopes = tuple(
        ScopeSummary(f"net/layer_{i}", 10, 10_000, 10_000, 40_000) for i in range(count // 10)
    )
    plain = summary("functions")
    total = 1000 * count
    return dataclasses.replace(
        plain,
        variables=variables,
        scopes=scopes,
        parameters=total,
        trainable_parameters=total,
        bytes=4 * total,
    )


def test_few_variables_are_shown_and_many_folded():
    assert Page(render_page(many(40))).all("details") == []
    page = Page(render_page(many(400)))
    assert page.all("details") == [{}] * 40
    assert len(rows(page, ["Name", "Dtype and shape", "Parameters"])) == 400
    assert "10 variables, 10,000 parameters" in page.text


def test_more_scopes_than_bars_are_told_as_a_rest():
    page = Page(render_page(many(450)))
    assert len(page.all("svg")) == 40
    assert "5 smaller scopes\n50,000\n11.1 %" in "\n".join(page.text)


def test_module_with_nothing_in_it():
    module = dataclasses.replace(
        many(40), variables=(), scopes=(), parameters=0, trainable_parameters=0
    )
    shown = Page(render_page(module)).text
    for words in ("There are no parameters.", "There are no variables.", "No message is attached."):
        assert words in shown


def test_hostile_names(tmp_path):
    write_hostile_module(tmp_path / "m")
    module = inspect_module(hub.load_module_spec(tmp_path / "m"))
    module = dataclasses.replace(module, handle="/m/</title><script>\x1b\u202e")
    markup = render_page(module)
    page = Page(markup)
    assert page.all("script") == []
    assert page.all("b") == []
    assert not set(RAW) & set(markup)
    shown = "".join(page.text)
    assert "<script>alert(1)</script>'\"&\\x1b[31m\\x07\\u202e\\u2066\\n[bold]" in shown
    assert "<b>\\x1b[31m\\u202e.txt" in shown
    assert "<title>m/&lt;/title&gt;" not in markup.partition("<style>")[2]


def colours(block):
    return dict(re.findall(r"--([\w-]+): (#\w{6})", block))


def contrast(first, second):
    """Of two colours, by the rule of the Web Content Accessibility Guidelines 2."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_contrast(scheme):
    style = pathlib.Path(page.__file__).with_name("page.css").read_text("utf-8")
    light, rest = style.split("@media (prefers-color-scheme: dark)")
    dark, paper = rest.split("@media print")
    found = colours({"light": light, "dark": dark, "print": paper}[scheme])
    assert contrast(found["ink"], found["paper"]) > 7
    assert contrast(found["quiet"], found["paper"]) > 4.5
    assert contrast(found["bar"], found["paper"]) > 4.5
    assert contrast(found["bar-fixed"], found["paper"]) > 3


@needs_dm21
def test_real_module():
    page = Page(render_page(inspect_module(hub.load_module_spec(DM21))))
    found = rows(page, ["Name", "Dtype and shape"])
    assert ["tensor_dict$grid_coords", "float32 [?, 3]"] in found
    assert len(found) == 13
    assert "12 regularization losses" in page.text
    assert "There are no files under assets/." in page.text
