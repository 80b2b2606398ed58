"""The tables that notebooks show."""

import hub_keras_bridge as hub
from helpers.hostile_module import EVIL, RAW, write_hostile_module
from helpers.html_reader import Page
from helpers.places import ZOO

HEADINGS = ["Name", "Direction", "Dtype and shape"]


def page_of(name):
    return Page(hub.load_module_spec(ZOO / name / "module")._repr_html_())


def test_spec():
    page = page_of("convnet")
    assert page.tables[2] == [
        HEADINGS,
        ["images", "input", "float32 [?, 32, 32, 3]"],
        ["block", "output", "float32 [?, 8, 8, 24]"],
        ["default", "output", "float32 [?, 24]"],
    ]
    shown = "".join(page.text)
    assert f"ModuleSpec '{ZOO / 'convnet' / 'module'}'" in shown
    assert "Signature image_feature_vector in all variants" in shown


def test_sparse_and_ragged():
    rows = [row for table in page_of("sparse_ragged").tables for row in table]
    assert ["ids", "input", "ragged int64 [?, ?]"] in rows


def test_variants_that_differ():
    page = page_of("variants")
    shown = "".join(page.text)
    assert "Signature default in variants {}, {'train'}" in shown
    assert "Signature default in variant {'bs4', 'train'}" in shown
    assert [table[1] for table in page.tables] == [
        ["default", "input", "float32 [?, 5]"],
        ["default", "input", "float32 [4, 5]"],
    ]


def test_layer_tells_which_signature_it_runs():
    layer = hub.ModuleLayer(ZOO / "mlp_bn" / "module", signature="double", output_key="y")
    page = Page(layer._repr_html_())
    assert "', signature 'double' of '" in "".join(page.text)
    assert len(page.tables) == 2


def test_layer_made_from_a_config():
    layer = hub.ModuleLayer.from_config(hub.ModuleLayer(ZOO / "mlp_bn" / "module").get_config())
    assert len(Page(layer._repr_html_()).tables) == 2


def test_hostile_names(tmp_path):
    write_hostile_module(tmp_path / "m")
    markup = hub.load_module_spec(tmp_path / "m")._repr_html_()
    page = Page(markup)
    assert page.all("script") == []
    assert not set(RAW) & set(markup)
    assert "<script>alert(1)</script>'\"&\\x1b[31m\\x07\\u202e\\u2066\\n[bold]" in "".join(
        page.text
    )
    assert EVIL not in markup


def test_rules_keep_to_the_table():
    markup = hub.load_module_spec(ZOO / "mlp_bn" / "module")._repr_html_()
    style = markup.partition("<style>")[2].partition("</style>")[0]
    rules = [rule.strip() for rule in style.split("}") if rule.strip()]
    assert len(rules) == 5
    assert all(rule.startswith(".hub-signatures ") for rule in rules)
