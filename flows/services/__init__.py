"""Prefect's and MLflow's servers and the worker: for one run, or kept going in the background by `lmforge up`."""
