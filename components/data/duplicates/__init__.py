"""Copies of texts: equal ones, near ones by MinHash, and texts of benchmarks that stand inside of others."""
