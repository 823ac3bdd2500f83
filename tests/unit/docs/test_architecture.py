import doctest
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT / "docs" / "architecture.md"


def test_every_table_of_the_document_is_what_the_code_gives():
    done = doctest.testfile(str(DOCUMENT), module_relative=False, encoding="utf-8")
    assert done.failed == 0
    assert done.attempted > 60


def test_every_room_is_in_the_table_in_the_order_of_the_walls():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(one["layers"] for one in settings["contracts"] if one.get("containers") == ["medlstm"])
    rooms = [room for layer in reversed(layers) for room in layer.split(" | ") if (ROOT / "medlstm" / room).is_dir()]
    listed = re.findall(r"^\| \[(\w+)\]\(\.\./medlstm/", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == rooms
