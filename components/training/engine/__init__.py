"""The training engine: loop, steps, optimizers, checkpoints, processes, hardware."""
