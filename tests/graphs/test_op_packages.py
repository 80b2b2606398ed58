"""Ops that are not registered: which package has them, and what the error is."""

import copy
import pickle

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.compat import tf_errors
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.graphs.ops.packages import CONTRIB, advice_about, package_of
from hub_keras_bridge.graphs.ops.reach import reviewed_ops

v1 = tf.compat.v1


@pytest.mark.parametrize(
    ("package", "ops"),
    [
        (
            "tensorflow_text",
            "TokenizerFromLogits SplitMergeTokenizeWithOffsets RougeL PhraseTokenize "
            "SentencepieceOp SentencepieceTokenizeOp WordpieceTokenizeWithOffsets "
            "TFText>FastSentencepieceTokenize TFText>Ngrams SentenceFragmentsV2",
        ),
        ("tf_sentencepiece", "SentencepieceEncodeSparse SentencepiecePieceToId"),
        ("tensorflow_addons", "Addons>Gelu Addons>Resampler"),
        ("tensorflow_io", "IO>DecodeWAV IO>KafkaDataset"),
        (
            "tensorflow_decision_forests",
            "SimpleMLInferenceOpWithHandle SimpleMLLoadModelFromPathWithHandle "
            "YggdrasilDecisionForestsSetLoggingLevel",
        ),
        ("struct2tensor", "DecodeProtoSparseV4 EquiJoinIndices"),
        ("tensorflow_compression", "RangeEncode EntropyDecodeIndex"),
        (CONTRIB, "Resampler SparseFeatureCross ImageProjectiveTransform"),
        (None, "FrobnicateV7 sentencepieceop Simple"),
    ],
)
def test_packages(package, ops):
    assert {op: package_of(op) for op in ops.split()} == dict.fromkeys(ops.split(), package)


def test_none_is_said_of_an_op_of_tensorflow():
    """What is reviewed and has a package is tensorflow_text's, and not registered here."""
    named = {op: package for op in reviewed_ops() if (package := package_of(op))}
    assert set(named.values()) == {"tensorflow_text"}
    raw = {op for op in named if hasattr(tf.raw_ops, op)}
    assert raw == set()


@pytest.mark.parametrize(
    ("ops", "advice"),
    [
        (["RougeL"], "install and import tensorflow_text before loading the module"),
        (
            ["IO>DecodeWAV", "RougeL", "Unheard"],
            "install and import tensorflow_io and tensorflow_text before loading the module",
        ),
        (["Unheard"], "import the package that brings these ops before loading the module"),
        (
            ["Resampler", "RougeL"],
            "publish the module again without Resampler: tf.contrib of TensorFlow 1 had it, no "
            "package has it now",
        ),
    ],
)
def test_advice(ops, advice):
    assert advice_about(ops) == advice


class TestError:
    """The original library's is TensorFlow's NotFoundError."""

    @pytest.fixture
    def spec(self, scale_spec):
        for node in scale_spec.files.saved_model.meta_graphs[0].graph_def.node:
            if node.op == "Mul":
                node.op = "TokenizerFromLogits"
        return hub.ModuleSpec(scale_spec.files)

    @pytest.fixture
    def error(self, spec):
        with pytest.raises(tf.errors.NotFoundError) as raised:
            hub.ModuleLayer(spec)
        return raised.value

    def test_is_caught_as_either(self, spec, error):
        kinds = (hub.UnknownOpError, hub.HubError, RuntimeError, tf.errors.OpError)
        assert isinstance(error, kinds[0])
        assert all(isinstance(error, kind) for kind in kinds)
        for kind in (tf.errors.NotFoundError, hub.UnknownOpError):
            with pytest.raises(kind, match="TokenizerFromLogits"):
                hub.load(spec)

    def test_what_it_says(self, error):
        text = (
            "Cannot run a TF1 Hub module: it uses ops that are not registered.\n"
            "  In: module '(not published yet)', tags {}\n"
            f"  Expected: ops of TensorFlow {tf.__version__} and of the packages imported so far\n"
            "  Found: 'TokenizerFromLogits'\n"
            "  What to do: install and import tensorflow_text before loading the module"
        )
        assert str(error) == error.message == text
        assert error.error_code == tf.errors.NOT_FOUND
        assert (error.node_def, error.op) == (None, None)
        assert error.found == "'TokenizerFromLogits'"

    @pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy])
    def test_survives_a_copy(self, error, again):
        copied = again(error)
        assert type(copied) is tf_errors.UnknownOpError
        assert str(copied) == str(error)
        assert copied.subject == Subject("(not published yet)", frozenset())
        assert copied.error_code == tf.errors.NOT_FOUND

    def test_leaves_a_function(self, spec):
        @tf.function
        def call():
            return hub.load(spec)

        with pytest.raises(tf.errors.NotFoundError, match="tensorflow_text"):
            call()
