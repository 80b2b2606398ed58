"""Programs written for ``hub.Module``, and what the original library made of them.

Each way of using a module that public code shows has a small program here. It is given the library
to use, so that one and the same program runs with the original library and with this package.
``recorded.json`` has what it returned with the original; ``scripts/old_programs.py`` compares, and
records. Nothing here imports this package or anything that the original's environment lacks.
"""
