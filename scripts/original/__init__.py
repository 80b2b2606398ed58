"""The parts of ``original_library.py``: this package against the original library."""
