"""Prefect's and MLflow's servers and the worker: for one run, or kept running in the background by `lmforge up`."""
