"""The steps of `prepare` for a text: normalisation, language, limits, deduplication, personal data."""
