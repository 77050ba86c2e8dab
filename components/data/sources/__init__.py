"""Where rows come from: one module a kind of source, and the catalogue that lists them."""
