"""What a Keras dtype policy means to a module's outputs.

A module or SavedModel computes in the dtypes it was published with. A graph knows
no policies: float32 is what it has unless its publisher chose another dtype. So
that one becomes the policy's compute dtype at the layer's outputs, where the rest
of the model expects it; a dtype that was chosen stays.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_UNCHOSEN = "float32"


def output_dtype(published: str, compute_dtype: str) -> str:
    """The dtype of a layer's output.

    >>> output_dtype("float32", "float16"), output_dtype("float64", "float16")
    ('float16', 'float64')

    Args:
        published: the dtype that the signature has.
        compute_dtype: that of the layer's dtype policy.
    """
    return compute_dtype if published == _UNCHOSEN else published


def to_output_dtypes(outputs: Any, compute_dtype: str) -> Any:
    """Casts a layer's outputs to what they are to be.

    Args:
        outputs: dense, sparse or ragged tensors, one or a nest of them.
        compute_dtype: that of the layer's dtype policy.
    """
    if compute_dtype == _UNCHOSEN:
        return outputs

    def cast(output: Any) -> Any:
        return tf.cast(output, output_dtype(output.dtype.name, compute_dtype))

    return tf.nest.map_structure(cast, outputs)
