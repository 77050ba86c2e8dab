"""When and by whom: the only package that imports Prefect or DVC."""
