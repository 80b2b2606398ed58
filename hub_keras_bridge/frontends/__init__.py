"""What users hold: a Keras layer, hub.Module, what load returns, feature columns."""
