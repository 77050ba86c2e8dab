"""The loop: steps, optimizers, checkpoints, processes, hardware."""
