"""Chat with a model, and serve it."""
