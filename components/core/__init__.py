"""Shared by all stages: errors, exit codes, files, processes, settings, progress."""
