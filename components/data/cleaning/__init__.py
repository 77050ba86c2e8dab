"""What `prepare` does to a text: one form, a language, limits, no duplicates, no personal data."""
