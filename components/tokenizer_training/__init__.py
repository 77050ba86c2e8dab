"""Makes tokenizers, apart from what reads with them, so that the stages that only read do not depend on it."""
