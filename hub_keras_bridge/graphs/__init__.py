"""Rewrites of published graphs: protos in, protos out."""
