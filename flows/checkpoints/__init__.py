"""Checkpoints of others: got, tried, and tracked."""
