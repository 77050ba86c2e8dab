"""Evaluation of a model: bits per byte, task scores, intervals, the report page."""
