"""Modules for inference alone: values in, arrays out, by whichever engine is fastest."""
