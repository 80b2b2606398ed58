"""Which package registers an op that TensorFlow itself does not have.

The names are those of tensorflow_text 1.15 to 2.21, tf_sentencepiece 0.1.90,
tensorflow_addons 0.5 to 0.23, tensorflow_io 0.37, tensorflow_decision_forests
0.2 to 1.12, struct2tensor 0.48, tensorflow_compression and tf.contrib 1.15.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

# What TensorFlow 2 left out, and no package has under the same names.
CONTRIB = "tf.contrib of TensorFlow 1"

# How the names of all ops of a package begin.
_PREFIXES = {
    "TFText>": "tensorflow_text",
    "Addons>": "tensorflow_addons",
    "IO>": "tensorflow_io",
    "SimpleML": "tensorflow_decision_forests",
    "YggdrasilDecisionForests": "tensorflow_decision_forests",
}

_NAMES = {
    "tensorflow_text": """
        CaseFoldUTF8 ConstrainedSequence FastBertNormalize FastWordpieceTokenizeWithOffsets
        FindSourceOffsets MaxSpanningTree NormalizeUTF8 NormalizeUTF8WithOffsetsMap PhraseTokenize
        RegexSplitWithOffsets RougeL SentenceFragments SentenceFragmentsV2 SentencepieceDetokenizeOp
        SentencepieceIdToStringOp SentencepieceOp SentencepieceStringToIdOp SentencepieceTokenizeOp
        SentencepieceTokenizeWithOffsetsOp SentencepieceVocabSizeOp SplitMergeTokenizeWithOffsets
        TokenizerFromLogits UnicodeScriptTokenizeWithOffsets WhitespaceTokenizeWithOffsets
        WordpieceTokenizeWithOffsets
        """,
    "tf_sentencepiece": """
        SentencepieceDecode SentencepieceEncodeDense SentencepieceEncodeSparse
        SentencepieceGetPieceSize SentencepieceGetPieceType SentencepieceIdToPiece
        SentencepiecePieceToId
        """,
    "struct2tensor": """
        DecodeProtoMap DecodeProtoMapV2 DecodeProtoSparseV2 DecodeProtoSparseV3 DecodeProtoSparseV4
        EquiJoinAnyIndices EquiJoinIndices RunLengthBefore
        """,
    "tensorflow_compression": """
        CreateRangeDecoder CreateRangeEncoder EntropyDecodeChannel EntropyDecodeFinalize
        EntropyDecodeIndex EntropyEncodeChannel EntropyEncodeFinalize EntropyEncodeIndex
        PmfToQuantizedCdf RangeDecode RangeEncode UnboundedIndexRangeDecode
        UnboundedIndexRangeEncode
        """,
    # Early versions of tensorflow_addons had some of these, under the same names.
    CONTRIB: """
        AdjustHsvInYiq BipartiteMatch BytesInUse BytesLimit CorrelationCost CorrelationCostGrad
        DecodeAudio DecodeVideo EncodeAudio EuclideanDistanceTransform GatherTree
        GradientTreesPrediction HyperplaneLSHProbes ImageConnectedComponents
        ImageProjectiveTransform MaskedMatmul MaxBytesInUse PeriodicResample
        PeriodicResampleOpGrad ReduceSliceMax ReduceSliceMin ReduceSliceProd ReduceSliceSum
        Resampler ResamplerGrad SingleImageRandomDotStereograms SkipGramGenerateCandidates
        SparseFeatureCross SparseFeatureCrossV2 TreePredictions TreePredictionsV4
        WALSComputePartialLhsAndRhs ZeroInitializer ZeroVarInitializer
        """,
}


@functools.cache
def _packages() -> Mapping[str, str]:
    return {op: package for package, names in _NAMES.items() for op in names.split()}


def package_of(op: str) -> str | None:
    """The package that registers an op, as it is imported; None if it is not known.

    >>> package_of("TokenizerFromLogits"), package_of("TFText>NgramsStringJoin")
    ('tensorflow_text', 'tensorflow_text')
    >>> package_of("Unheard")
    """
    by_prefix = (package for prefix, package in _PREFIXES.items() if op.startswith(prefix))
    return _packages().get(op) or next(by_prefix, None)


def advice_about(ops: list[str]) -> str:
    """What to do about ops that are not registered.

    >>> advice_about(["RougeL", "IO>DecodeWAV"])
    'install and import tensorflow_io and tensorflow_text before loading the module'
    """
    packages = {package for op in ops if (package := package_of(op))}
    if CONTRIB in packages:
        gone = ", ".join(op for op in ops if package_of(op) == CONTRIB)
        return f"publish the module again without {gone}: {CONTRIB} had it, no package has it now"
    if not packages:
        return "import the package that brings these ops before loading the module"
    return f"install and import {' and '.join(sorted(packages))} before loading the module"
