"""Orchestration, services and the command line: the only package that imports Prefect or DVC."""
