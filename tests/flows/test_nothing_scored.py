"""Nights that can score nobody: what they say, and how they end."""

from datetime import date, datetime, timedelta

import pytest

from flows.backfill import backfill
from flows.nightly import nightly
from medlstm.errors import ContractStopped, NobodyScored

NIGHT = date(2026, 3, 20)
CONFIG = """
[source]
format = "csv"
[[source.files]]
pattern = "stays*"
table = "stays"
[[source.files]]
pattern = "labs*"
table = "observations"
[model]
name = "median"
[training]
min_stays = 10
"""
HEADER = "stay_id,patient_id,admitted_at,discharged_at"


def _workspace(root, **files):
    """A workspace whose files of the night are `files`, by name without .csv."""
    folder = root / "landing" / NIGHT.isoformat()
    folder.mkdir(parents=True)
    (root / "medlstm.toml").write_text(CONFIG)
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content)
    return str(root)


def _stays(ended, still_in):
    begin = datetime(2026, 3, 1, 8)
    rows = [f"e{number},pe{number},{begin + timedelta(hours=number)},{begin + timedelta(hours=number, days=3)}"
            for number in range(ended)]  # fmt: skip
    rows += [f"o{number},po{number},{begin + timedelta(days=15)}," for number in range(still_in)]
    return "\n".join([HEADER, *rows]) + "\n"


def _labs(stays):
    return "\n".join(["stay_id,observed_at,variable,value", *(f"{stay},2026-03-18 10:00,HR,80" for stay in stays)])


def _page(root):
    return (root / "reports" / NIGHT.isoformat() / "index.html").read_text()


@pytest.mark.parametrize(
    ("files", "error", "said"),
    [
        ({"stays": "half a header", "labs": _labs(["o0"])}, NobodyScored, "could not be read in full"),
        ({"labs": _labs(["o0"])}, NobodyScored, "no row of stays has arrived"),
        ({"wards": "a,b\n1,2\n"}, NobodyScored, "no row of stays has arrived"),
        ({"stays": _stays(0, 3).replace("2026-", "someday "), "labs": ""}, ContractStopped, "are in quarantine"),
    ],
    ids=["refused", "labs alone", "other files", "quarantined"],
)
def test_a_night_that_its_input_leaves_nobody_to_score_fails_and_says_what_to_do(server, tmp_path, files, error, said):
    with pytest.raises(error, match=said) as raised:
        nightly(_workspace(tmp_path, **files), NIGHT)
    assert str(raised.value).startswith(f"{NIGHT}: nobody was scored: ")
    assert "run the night again" in str(raised.value)
    assert "Nobody was scored: " in _page(tmp_path)
    assert ">failed<" in _page(tmp_path)


def test_an_empty_hospital_and_a_young_one_are_no_failures(server, tmp_path):
    empty = nightly(_workspace(tmp_path / "empty", stays=_stays(60, 0), labs=_labs(["e0"])), NIGHT)
    assert (empty.scored, empty.nothing.cause) == (0, "empty")
    assert "nobody is in a bed: all 60 known stays have ended" in _page(tmp_path / "empty")
    young = nightly(_workspace(tmp_path / "young", stays=_stays(4, 3), labs=_labs(["o0"])), NIGHT)
    assert (young.scored, young.nothing.cause) == (0, "waiting")
    assert "there is no model yet, of 4 ended stays so far" in _page(tmp_path / "young")


def test_predictions_without_any_observation_are_the_first_warning(server, tmp_path):
    summary = nightly(_workspace(tmp_path, stays=_stays(60, 3), labs=_labs(["nobody"])), NIGHT)
    assert summary.scored == 3
    assert summary.warnings[0].startswith("no open stay has an observation in a bin")


def test_a_backfill_tells_a_failed_night_in_its_own_words(server, tmp_path):
    summary = backfill(_workspace(tmp_path, labs=_labs(["o0"])), NIGHT, NIGHT)
    ((day, reason),) = summary.failed
    assert day == NIGHT
    assert reason.startswith(f"{NIGHT}: nobody was scored: no stay is known")
    assert "encountered an exception" not in reason
