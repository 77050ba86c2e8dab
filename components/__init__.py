"""What is computed. Nothing here knows of Prefect or DVC; every module runs alone."""
