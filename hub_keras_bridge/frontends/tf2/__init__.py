"""The module as an object of TensorFlow 2, and SavedModels of TensorFlow 2."""
