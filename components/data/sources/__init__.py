"""Sources of rows: one module per kind of source, and the catalogue that lists them."""
