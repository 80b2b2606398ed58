"""The module in graphs of TensorFlow 1 and their sessions."""
