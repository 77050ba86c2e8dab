"""What holds for all tests, and for the processes that they start."""

import os

# The workers of pytest have the cores: with more threads each, those of one wait in a loop for those of the other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
