"""Inference engines: each runs a graph of numbers, faster or slower than the others."""
