"""What a training step reads: rows, their order, and how they become batches."""
