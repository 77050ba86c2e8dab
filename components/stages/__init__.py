"""The stages of `dvc.yaml`, one file each, with the same names. No stage imports another one.

docs/decisions.md, "Rooms by subject, stages by name"
"""
