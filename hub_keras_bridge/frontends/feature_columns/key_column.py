"""What the feature columns of one feature have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class KeyColumn:
    """A column of one feature.

    Each is a tuple of what it was made of, as TensorFlow's own are: so columns
    are compared, and found in a dict. Classes and fields are called as in the
    original library, since configs of Keras 2 have these names.
    """

    key: Any

    @property
    def name(self) -> str:
        """The name of the column's scope."""
        key = self.key if isinstance(self.key, str) else self.key.name
        return f"{key}_hub_module_embedding"

    @property
    def parents(self) -> list[Any]:
        """What the column is computed from."""
        return [self.key]

    @property
    def _is_v2_column(self) -> bool:
        return True

    def transform_feature(self, transformation_cache: Any, state_manager: Any) -> Any:
        """What the module is given."""
        return transformation_cache.get(self.key, state_manager)

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        custom_objects: Any = None,  # noqa: ARG003
        columns_by_name: Any = None,  # noqa: ARG003
    ) -> Any:
        """The inverse of ``get_config``."""
        return cls(**config)
