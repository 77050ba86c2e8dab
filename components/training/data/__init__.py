"""The data of training steps: rows, their order, and batches."""
