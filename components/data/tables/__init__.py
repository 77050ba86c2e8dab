"""Tables on disk: schemas of rows, shards, splits, and work over them in parallel."""
