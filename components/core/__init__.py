"""What all stages share: errors, exit codes, files, processes, settings, progress."""
