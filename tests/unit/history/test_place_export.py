from datetime import date

import pytest

from medlstm.errors import ConfigError
from medlstm.history.place_export import files_of, place_export
from medlstm.ingest.delivered_files import Delivery, write_delivery
from medlstm.lake.files import Workspace

DAY = date(2026, 3, 28)


@pytest.fixture
def export(tmp_path):
    folder = tmp_path / "export"
    (folder / "2025").mkdir(parents=True)
    (folder / "stays.csv").write_text("stays")
    (folder / "2025" / "labs.csv").write_text("labs of 2025")
    (folder / "2025" / ".labs.csv.part").write_text("half")
    return folder


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("", {"stays.csv", "2025/labs.csv"}),
        ("*.csv", {"stays.csv"}),
        ("**/*.csv", {"stays.csv", "2025/labs.csv"}),
        ("*/labs*", {"2025/labs.csv"}),
        ("2025/labs.csv", {"labs.csv"}),
        ("2025/*.csv", {"labs.csv"}),
    ],
)
def test_a_file_keeps_its_path_from_the_first_wildcard_on(export, pattern, names):
    assert set(files_of(str(export / pattern))) == names


def test_an_export_is_placed_once_whatever_is_run_again(export, tmp_path):
    place = Workspace(tmp_path / "w")
    for _ in range(2):
        placed = place_export(place, [str(export)], DAY)
        assert (placed.files, placed.bytes) == (2, 17)
    landed = place.landing(DAY)
    assert (landed / "2025" / "labs.csv").read_text() == "labs of 2025"
    assert sorted(path.name for path in landed.rglob("*") if path.is_file()) == ["labs.csv", "stays.csv"]
    (export / "stays.csv").unlink()
    (export / "stays.csv").write_text("more stays")
    place_export(place, [str(export / "*.csv")], DAY)
    assert (landed / "stays.csv").read_text() == "more stays"


def test_what_cannot_be_placed_is_refused(export, tmp_path):
    place = Workspace(tmp_path / "w")
    with pytest.raises(ConfigError, match="no such file"):
        place_export(place, [str(export / "*.parquet")], DAY)
    (export / "labs.csv").write_text("other labs")
    with pytest.raises(ConfigError, match=r"two files would both be labs.csv"):
        place_export(place, [str(export / "*.csv"), str(export / "2025" / "labs.csv")], DAY)
    write_delivery(place, Delivery(date(2026, 3, 1), (), {}))
    with pytest.raises(ConfigError, match="2026-03-01 has been taken in already"):
        place_export(place, [str(export)], DAY)
