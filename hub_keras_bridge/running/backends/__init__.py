"""Frameworks other than TensorFlow that Keras computes with, as callers of pure functions."""
