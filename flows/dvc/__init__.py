"""The adapter to DVC: its graph of stages, and the repair of files that killed processes left damaged."""
