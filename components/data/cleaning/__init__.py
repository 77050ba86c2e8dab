"""The steps of `prepare` for a text: repair of its encoding, normalisation, language, rules of quality, parts."""
