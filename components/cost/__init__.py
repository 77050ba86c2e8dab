"""Estimates of what a training run will cost, before it starts."""
