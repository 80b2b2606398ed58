"""Graphs that read and write variables, as graphs that compute with the variables' values."""
