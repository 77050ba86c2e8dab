"""From pinned sources to clean, split tables."""
