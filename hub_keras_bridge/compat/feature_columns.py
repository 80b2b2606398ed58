"""TensorFlow's classes of feature columns, which are private: the bases of new columns."""

from __future__ import annotations

from typing import Any

from tensorflow.python.feature_column import feature_column, feature_column_v2


class DenseColumn(feature_column._DenseColumn, feature_column_v2.DenseColumn):  # noqa: SLF001
    """A feature column for a dense tensor, by TensorFlow's old interface and its newer one.

    ``input_layer`` and ``linear_model`` take subclasses of the one alone, Keras 2's
    ``DenseFeatures`` of the other; both bases are private.
    """


class DenseColumnV2(feature_column_v2.DenseColumn):
    """As :class:`DenseColumn`, by the newer interface alone."""


def trains_columns(state_manager: Any) -> bool:
    """Whether a layer of feature columns was made to be trained.

    A column learns it from the manager of the layer's state, which has no public
    name for it.
    """
    return bool(state_manager._trainable)  # noqa: SLF001
