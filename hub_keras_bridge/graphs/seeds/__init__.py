"""Random ops whose numbers follow a seed that is given, as one more value."""
