"""Lineage: where a model comes from, which data it has seen, and how two versions differ."""
