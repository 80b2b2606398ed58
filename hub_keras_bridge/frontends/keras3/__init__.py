"""The module as a Keras layer, and a callback that publishes while a model trains."""
