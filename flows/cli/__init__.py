"""The `lmforge` command, and what it prints."""
