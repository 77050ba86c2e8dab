"""The Transformer: layers, generation, import and export."""
