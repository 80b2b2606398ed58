"""A module's bytes: found, fetched, unpacked; written whole or not at all."""
