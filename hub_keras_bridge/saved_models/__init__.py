"""TF1 Hub modules as SavedModels of TensorFlow 2, and such SavedModels as modules."""
