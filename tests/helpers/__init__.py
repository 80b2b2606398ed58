"""What several tests use: golden modules, servers, modules made by hand, readers of documents."""

import pytest

# Before any of them is imported.
pytest.register_assert_rewrite(
    *(f"helpers.{name}" for name in ("comparing", "folders", "html_reader", "tf1_reference"))
)
