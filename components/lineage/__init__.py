"""Where a model comes from, what it has seen, and what sets two versions apart."""
