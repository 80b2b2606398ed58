"""The demo that opens the README."""
