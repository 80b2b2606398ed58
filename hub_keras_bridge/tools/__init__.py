"""Whole jobs over a module: apply it to a file, convert it, inspect it."""
