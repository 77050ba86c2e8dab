"""Stage `start`: the files of the version that `data/start.json` pins, from DVC's cache into `models/start`.

Without a pinned version the folder holds `start.json` alone.
"""

import shutil
from pathlib import Path

from components.core import stage, start
from components.core.errors import BadData
from components.lineage.objects import Cache


def main() -> None:
    pinned, cache = start.read(), Cache(Path())
    files = pinned.files if pinned else {}
    gone = [name for name, md5 in files.items() if not cache.path(md5).exists()]
    if gone:
        raise BadData(
            f"{start.origin(gone[0])} of {pinned} is gone from DVC's cache, and {len(gone) - 1} more files: "
            "`dvc fetch` at its commit gets them from a remote, and `lmforge start` pins another version"
        )
    for name, md5 in files.items():
        (start.FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cache.path(md5), start.FOLDER / name)
    start.write(pinned, start.FOLDER / start.PIN.name)


if __name__ == "__main__":
    stage.run("start", main)
