"""Which modules follow the common signatures, and what is said of others."""

import json

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.cli import check_signatures, main
from hub_keras_bridge.publishing.common_signatures import KINDS, Finding, check_common_signature
from hub_keras_bridge.publishing.image_info import ImageModuleInfo, attach_image_module_info

V1 = tf.compat.v1
IMAGES = (tf.float32, [None, 8, 8, 3])
VECTORS = (tf.float32, [None, 5])
TEXTS = (tf.string, [None])


def module(inputs, outputs, *signatures, size=None, tags=()):
    """A module whose signatures have placeholders for both inputs and outputs."""

    def module_fn():
        for name in signatures or ["default"]:
            hub.add_signature(
                name,
                {key: V1.placeholder(*spec) for key, spec in inputs.items()},
                {key: V1.placeholder(*spec) for key, spec in outputs.items()},
            )
        if size:
            attach_image_module_info(ImageModuleInfo(default_image_size=size))

    return hub.create_module_spec(module_fn, [(tags, {})])


def image_module(images=IMAGES, output=VECTORS, signature="image_feature_vector", **kwargs):
    return module({"images": images}, {"default": output}, signature, **kwargs)


@pytest.mark.parametrize(
    ("kind", "spec", "signature"),
    [
        ("text-embedding", module({"default": TEXTS}, {"default": VECTORS}), "default"),
        (
            "text-embedding",
            module({"any": TEXTS}, {"default": VECTORS, "more": (tf.int32, None)}),
            "default",
        ),
        ("image-feature-vector", image_module(), "image_feature_vector"),
        ("image-feature-vector", image_module(signature="default"), "default"),
        (
            "image-feature-vector",
            image_module((tf.float32, [None, None, None, 3]), size={"height": 7, "width": 8}),
            "image_feature_vector",
        ),
        (
            "image-classification",
            image_module(signature="image_classification"),
            "image_classification",
        ),
    ],
)
def test_follows(kind, spec, signature):
    report = check_common_signature(spec, kind)
    assert report.findings == ()
    assert report.follows
    assert report.signature == signature


BATCH_OF_TEXTS = "string [batch] with any batch"
EMBEDDINGS = "float32 [batch, dim] with any batch and a known dim"
BATCH_OF_IMAGES = "float32 [batch, height, width, 3] with any batch"


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        (module({}, {"default": VECTORS}), ("inputs", "exactly one", "none")),
        (
            module({"a": TEXTS, "b": TEXTS}, {"default": VECTORS}),
            ("inputs", "exactly one", "'a', 'b'"),
        ),
        (
            module({"a": (tf.string, [None, 1])}, {"default": VECTORS}),
            ("input 'a'", BATCH_OF_TEXTS, "string [?, 1]"),
        ),
        (
            module({"a": (tf.string, [7])}, {"default": VECTORS}),
            ("input 'a'", BATCH_OF_TEXTS, "string [7]"),
        ),
        (
            module({"a": (tf.int32, [None])}, {"default": VECTORS}),
            ("input 'a'", BATCH_OF_TEXTS, "int32 [?]"),
        ),
        (
            module({"a": TEXTS}, {"vectors": VECTORS}),
            ("outputs", "'default', and any others", "'vectors'"),
        ),
        (
            module({"a": TEXTS}, {"default": (tf.float32, [None, None])}),
            ("output 'default'", EMBEDDINGS, "float32 [?, ?]"),
        ),
        (
            module({"a": TEXTS}, {"default": (tf.float64, [None, 5])}),
            ("output 'default'", EMBEDDINGS, "float64 [?, 5]"),
        ),
        (
            module({"a": TEXTS}, {"default": (tf.float32, None)}),
            ("output 'default'", EMBEDDINGS, "float32 [unknown rank]"),
        ),
        (
            module({"a": TEXTS}, {"default": VECTORS}, "embed", "tokens"),
            ("signatures", "'default'", "'embed', 'tokens'"),
        ),
    ],
)
def test_text_embeddings_that_do_not_follow(spec, finding):
    report = check_common_signature(spec, "text-embedding")
    assert report.findings == (Finding(*finding),)
    assert not report.follows


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        (
            image_module((tf.float32, [None, 8, 8, 1])),
            ("input 'images'", BATCH_OF_IMAGES, "float32 [?, 8, 8, 1]"),
        ),
        (
            image_module((tf.uint8, [None, 8, 8, 3])),
            ("input 'images'", BATCH_OF_IMAGES, "uint8 [?, 8, 8, 3]"),
        ),
        (
            image_module((tf.float32, [4, 8, 8, 3])),
            ("input 'images'", BATCH_OF_IMAGES, "float32 [4, 8, 8, 3]"),
        ),
        (
            image_module((tf.float32, [None, None, 8, 3])),
            (
                "image size",
                "known from an attached ImageModuleInfo, or from the shape of the input",
                "nothing attached, and shape [?, ?, 8, 3]",
            ),
        ),
        (
            module({"x": IMAGES}, {"default": VECTORS}),
            ("inputs", "'images' alone", "'x'"),
        ),
        (
            module({"images": IMAGES, "rate": (tf.float32, [])}, {"default": VECTORS}),
            ("inputs", "'images' alone", "'images', 'rate'"),
        ),
        (
            image_module(output=(tf.float32, [None, 2, 2, 5])),
            ("output 'default'", EMBEDDINGS, "float32 [?, 2, 2, 5]"),
        ),
        (
            image_module(signature="image_classification"),
            ("signatures", "'image_feature_vector' or 'default'", "'image_classification'"),
        ),
    ],
)
def test_image_feature_vectors_that_do_not_follow(spec, finding):
    assert check_common_signature(spec, "image-feature-vector").findings == (Finding(*finding),)


def test_a_default_signature_is_no_classification():
    report = check_common_signature(image_module(signature="default"), "image-classification")
    assert report.signature is None
    assert report.findings == (Finding("signatures", "'image_classification'", "'default'"),)


def test_all_that_is_wrong_is_found():
    spec = module({"a": (tf.string, [])}, {"default": (tf.int32, [])})
    report = check_common_signature(spec, "text-embedding")
    assert [finding.where for finding in report.findings] == ["input 'a'", "output 'default'"]


def test_sparse_input():
    def module_fn():
        texts = V1.sparse_placeholder(tf.string, [None])
        hub.add_signature(inputs=texts, outputs=V1.placeholder(tf.float32, [None, 2]))

    (finding,) = check_common_signature(
        hub.create_module_spec(module_fn), "text-embedding"
    ).findings
    assert finding.found.startswith("sparse string")


def test_another_signature_and_another_variant():
    spec = image_module(signature="mine", tags={"big"})
    report = check_common_signature(spec, "image-feature-vector", signature="mine", tags={"big"})
    assert (report.follows, report.signature) == (True, "mine")
    missing = check_common_signature(spec, "image-feature-vector", signature="your", tags={"big"})
    assert missing.findings == (Finding("signatures", "'your'", "'mine'"),)
    with pytest.raises(hub.TagsError):
        check_common_signature(spec, "image-feature-vector")


def test_handle(golden):
    path = golden("convnet").path
    assert check_common_signature(path, "image-classification") == check_common_signature(
        hub.load_module_spec(path), "image-classification"
    )


def test_unknown_kind():
    with pytest.raises(hub.SignatureError) as caught:
        check_common_signature(image_module(), "audio")
    assert all(repr(kind) in str(caught.value) for kind in (*KINDS, "audio"))


def test_modules_of_the_original_library(golden):
    for name, kind in (("text_embed", "text-embedding"), ("convnet", "image-feature-vector")):
        spec = hub.load_module_spec(golden(name).path)
        assert check_common_signature(spec, kind).findings == ()
    wrong = hub.load_module_spec(golden("bert_tiny").path)
    assert not check_common_signature(wrong, "text-embedding").follows


# --- the command ---


def test_command_says_that_a_module_follows(golden, capsys):
    path = golden("convnet").path
    assert main(["check-signatures", path, "--kind", "image-feature-vector"]) == 0
    assert capsys.readouterr().out == (
        f"{path}: follows image-feature-vector with its signature 'image_feature_vector'\n"
    )


def test_command_says_what_is_wrong(golden, capsys):
    path = golden("convnet").path
    assert main(["check-signatures", path, "--kind", "text-embedding"]) == 1
    first, *others = capsys.readouterr().out.splitlines()
    assert first == f"{path}: does not follow text-embedding"
    assert others == [
        f"  input 'images': expected {BATCH_OF_TEXTS}; found float32 [?, 32, 32, 3]",
    ]


def test_command_as_json(golden, capsys):
    path = golden("convnet").path
    argv = ["check-signatures", path, "--kind", "image-classification", "--json"]
    assert main([*argv, "--signature", "default"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "handle": path,
        "follows": True,
        "kind": "image-classification",
        "signature": "default",
        "findings": [],
    }
    assert main([*argv, "--signature", "other"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["follows"] is False
    assert report["signature"] is None
    assert report["findings"][0]["expected"] == "'other'"


def test_command_takes_a_variant(tmp_path, capsys):
    path = str(tmp_path / "m")
    image_module(tags={"big", "wide"}).export(path)
    options = ["--kind", "image-feature-vector", "--tags", "big", "--tags", "wide"]
    assert main(["check-signatures", *options, path]) == 0
    assert main(["check-signatures", "--kind", "image-feature-vector", path]) == 1
    assert "has no variant" in capsys.readouterr().err


def test_command_with_a_wrong_handle(tmp_path, capsys):
    assert main(["check-signatures", str(tmp_path / "no"), "--kind", "text-embedding"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "there is no such directory" in told.err


def test_command_line_knows_the_kinds():
    assert set(check_signatures._KINDS) == set(KINDS)
