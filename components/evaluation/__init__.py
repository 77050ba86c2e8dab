"""How good a model is: bits per byte, task scores, intervals, the report page."""
