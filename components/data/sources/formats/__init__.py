"""Formats of files, an adapter each: a `DataFile` becomes numbered rows. Only a damaged file raises, `BadData`."""
