"""The stages of `dvc.yaml`, a file each, named as there. None imports another one."""
