"""Files of an export, found by patterns, put into the landing folder of the date on which they were made."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from medlstm.errors import ConfigError
from medlstm.ingest.delivered_files import delivered_dates
from medlstm.lake.files import Workspace


@dataclass(frozen=True)
class PlacedExport:
    """How many files were found, and how large they are together."""

    files: int
    bytes: int


def place_export(workspace: Workspace, patterns: Sequence[str], day: date) -> PlacedExport:
    """Put the files of an export into `landing/<day>`, under their paths from where each pattern's first wildcard is.

    A file is linked where it can be (no second copy on disk), else copied; one that lies there already and is as large
    is left. Raises ConfigError where a pattern finds nothing, two files would have one name, or another date has been
    taken in.
    """
    others = [one for one in delivered_dates(workspace) if one != day]
    if others:
        raise ConfigError(
            f"{workspace.root}: {others[0]} has been taken in already, and history comes first; begin in a new "
            "workspace, or put late files into its landing folders"
        )
    found: dict[str, Path] = {}
    for pattern in patterns:
        for name, path in files_of(pattern).items():
            if found.setdefault(name, path) != path:
                raise ConfigError(f"{pattern}: two files would both be {name} in {workspace.landing(day)}; rename one")
    for name, path in sorted(found.items()):
        _put(path, workspace.landing(day) / name)
    return PlacedExport(len(found), sum(path.stat().st_size for path in found.values()))


def files_of(pattern: str) -> dict[str, Path]:
    """The files that a pattern (`*`, `?`, `**`), or a folder, names, by the names that they get.

    Raises ConfigError where there is none.
    """
    base, wanted = _split_at_wildcard(Path(pattern))
    paths = sorted(base.glob(wanted))
    found = {
        path.relative_to(base).as_posix(): path.resolve()
        for path in paths
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(base).parts)
    }
    if not found:
        raise ConfigError(f"{pattern}: no such file; give files, folders, or patterns in quotes ('export/*.csv')")
    return found


def _split_at_wildcard(pattern: Path) -> tuple[Path, str]:
    """The folder that is sure, and what to look for below it."""
    if pattern.is_dir():
        return pattern, "**/*"
    place = next((place for place, part in enumerate(pattern.parts) if set(part) & set("*?[")), None)
    if pattern.exists() or place is None:
        return pattern.parent, pattern.name
    return Path(*pattern.parts[:place]), "/".join(pattern.parts[place:])


def _put(source: Path, target: Path) -> None:
    if target.is_file() and (target.samefile(source) or target.stat().st_size == source.stat().st_size):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, so that a kill leaves nothing that a night would read.
    temporary = target.with_name(f".{target.name}.placing")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copy2(source, temporary)
    temporary.replace(target)
