"""The computations of the pipeline. Nothing here depends on Prefect or DVC; every module runs alone."""
