"""Exports: a package in the formats of others, each with the proof that they read it as we do."""
