"""A file that stands in two folders, written once."""

import os
import shutil
from pathlib import Path

from medlstm.lake.files import put_in_place


def link_file(source: Path, target: Path) -> None:
    """Put the file `source` in place as `target`, too, as a copy where the file system knows no links."""
    with put_in_place(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
