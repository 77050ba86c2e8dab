"""Processes and what they share: child processes, locks, environment variables, worktrees."""
