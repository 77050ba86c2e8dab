"""The adapter to DVC: its graph of stages, and the repair of what killed processes leave of its files."""
