"""Published layouts as a user takes them in, on files with the published column names; nothing is edited.

A handful of stays, each known by heart, by `init`, files copied, `ingest` and `validate`; and an export large enough to
train on by `init`, `inspect --try` and `bootstrap`, up to the page. The commands of all layouts run in one process,
since what they import takes longer than what they do.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from medlstm.settings.workspace import load_config
from tests.conftest import quiet_environment
from tests.layouts import eicu, mimic4, omop, synthea
from tests.layouts.copies import named
from tests.layouts.truth import admitted_stays, require_observations
from tests.unit.night import admitted

COPIES = 90


@dataclass(frozen=True)
class Layout:
    """`write(folder, copies)` an export made on `day`, and what one copy of it holds. `nights`: those that the backtest
    scores, as the command tells it."""

    day: date
    write: Callable[[Path, int], None]
    stays: dict[str, tuple]
    observations: dict[tuple[str, str, str], float]
    nights: str

    def open_stays(self) -> set[str]:
        """Those of all copies that have no discharge."""
        return {named(stay, copy) for stay, told in self.stays.items() if told[2] is None for copy in range(COPIES)}


def _write_nothing(folder: Path, copies: int) -> None:
    """The rows are in a database."""


_OF_SYNTHEA = "14 nights from 2020-05-04 to 2020-05-30 scored afterwards"
LAYOUTS = {
    # Every admission is complete, long before the date of the folder.
    "mimic4": Layout(mimic4.DAY, mimic4.write, mimic4.STAYS, mimic4.OBSERVATIONS,
                     "no past night was scored: nobody was in a bed from 2214-12-04 to 2214-12-30"),
    # All have ended as the date of the folder began, so that hardly anybody had been there four weeks before.
    "eicu": Layout(eicu.DAY, eicu.write, eicu.STAYS, eicu.OBSERVATIONS,
                   "no past night was scored: as of 2026-02-28, no discharged stay"),
    "synthea": Layout(synthea.DAY, synthea.write_csv_export, synthea.STAYS, synthea.OBSERVATIONS, _OF_SYNTHEA),
    "synthea_fhir": Layout(synthea.DAY, synthea.write_bundles, synthea.BUNDLE_STAYS, synthea.OBSERVATIONS, _OF_SYNTHEA),
    "omop": Layout(omop.DAY, _write_nothing, omop.STAYS, omop.OBSERVATIONS,
                   "14 nights from 2026-02-28 to 2026-03-26 scored afterwards"),
}  # fmt: skip
COMMANDS = """
import contextlib, io, json, os, sys
from flows.command_line.app import main
told = []
for database, arguments in json.load(sys.stdin):
    os.environ["OMOP_DATABASE_URL"] = database
    sys.argv, output, status = ["medlstm", *arguments], io.StringIO(), 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    told.append((status, output.getvalue()))
print(json.dumps(told))
"""


@dataclass(frozen=True)
class Ran:
    """What became of the commands, by their words; workspaces lie below `folder`."""

    folder: Path
    told: dict[tuple[str, ...], tuple[int, str]]

    def by_heart(self, example: str) -> Path:
        return self.folder / "small" / example

    def bootstrapped(self, example: str) -> Path:
        return self.folder / "large" / example

    def output(self, command: str, root: Path) -> str:
        """What a command said of a workspace, which it must have done."""
        ((status, output),) = (
            told for words, told in self.told.items()
            if words[0] == command and any(one in (str(root), str(root / "medlstm.toml")) for one in words)
        )  # fmt: skip
        assert status == 0, output
        return output


def _by_heart(example: str, layout: Layout, workspace: Path) -> list[list[str]]:
    """A drop in the landing folder."""
    layout.write(workspace / "landing" / layout.day.isoformat(), 1)
    step = ["--workspace", str(workspace), "--as-of", layout.day.isoformat()]
    return [["init", str(workspace), "--example", example], ["ingest", *step], ["validate", *step]]


def _bootstrapped(example: str, layout: Layout, workspace: Path) -> list[list[str]]:
    """An export somewhere else; of a database, what its queries have landed."""
    day, export, queried = layout.day.isoformat(), workspace.with_name(f"{example}-export"), []
    step = ["--workspace", str(workspace), "--as-of", day]
    layout.write(export, COPIES)
    if example == "omop":
        export, queried = workspace / "landing" / day, [["ingest", *step]]
    return [
        ["init", str(workspace), "--example", example],
        *queried,
        ["inspect", "--try", "--settings", str(workspace / "medlstm.toml"), "--json", str(export)],
        ["bootstrap", *step, "--history", str(export), "--train"],
    ]


@pytest.fixture(scope="module")
def ran(prefect_api, prefect_home, tmp_path_factory):
    """Two workspaces per layout: one small and known by heart, and one with a model and a page."""
    folder = tmp_path_factory.mktemp("layouts")
    commands = []
    for size, copies, plan in (("small", 1, _by_heart), ("large", COPIES, _bootstrapped)):
        with sqlite3.connect(folder / f"{size}.db") as connection:
            connection.executescript(";\n".join(omop.statements(copies)))
        database = f"sqlite:///{folder / size}.db"
        for example, layout in LAYOUTS.items():
            commands += [(database, words) for words in plan(example, layout, folder / size / example)]
    alone = str(folder / "large" / "alone")
    step = ["--workspace", alone, "--as-of", omop.DAY.isoformat()]
    commands += [(database, words) for words in (["init", alone, "--example", "omop"], ["nightly", *step])]
    # How well a model learns is asked elsewhere: here the quickest does.
    environment = quiet_environment(prefect_home, PREFECT_API_URL=prefect_api, MEDLSTM_MODEL__NAME="median",
                                    COLUMNS="200")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", COMMANDS], input=json.dumps(commands), env=environment, text=True,
                          cwd=folder, capture_output=True, timeout=600, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    return Ran(folder, {tuple(words): tuple(told) for (_, words), told in zip(commands, answers, strict=True)})


def _require_shipped_settings(root: Path, example: str, request) -> None:
    """No line edited by hand."""
    shipped = request.config.rootpath / "medlstm" / "settings" / "examples" / f"{example}.toml"
    assert (root / "medlstm.toml").read_bytes() == shipped.read_bytes()


def _scored(root: Path, day: date) -> list[str]:
    """The stays that the night predicted; none where it stored nothing."""
    folder = root / "lake" / "predictions" / f"as_of={day.isoformat()}"
    return [stay for path in folder.glob("*.parquet") for stay in pq.read_table(path).column("stay_id").to_pylist()]


@pytest.mark.parametrize("example", LAYOUTS)
def test_a_published_layout_comes_through_with_no_line_edited(example, ran, request):
    layout, root = LAYOUTS[example], ran.by_heart(example)
    for command in ("init", "ingest", "validate"):
        ran.output(command, root)
    _require_shipped_settings(root, example, request)
    assert admitted_stays(root, layout.day, load_config(root)) == layout.stays
    require_observations(root, layout.day, layout.observations)


@pytest.mark.parametrize("example", LAYOUTS)
def test_inspect_tries_the_template_on_the_export(example, ran):
    layout, root = LAYOUTS[example], ran.bootstrapped(example)
    trial = json.loads(ran.output("inspect", root).splitlines()[-1])
    reports = {one["table"]: one for one in trial["reports"]}
    assert reports["stays"]["admitted"] == trial["stays"] == COPIES * len(layout.stays)
    assert reports["observations"]["admitted"] == COPIES * len(layout.observations)
    assert (trial["would_stop"], trial["admitted_in_no_stay"], trial["problems"]) == (None, 0, [])


@pytest.mark.parametrize("example", LAYOUTS)
def test_an_export_becomes_a_model_and_a_page_with_no_line_edited(example, ran, request):
    layout, root = LAYOUTS[example], ran.bootstrapped(example)
    said = ran.output("bootstrap", root)
    _require_shipped_settings(root, example, request)
    stays, observations = (admitted(root, table, layout.day) for table in ("stays", "observations"))
    every = [named(stay, copy) for stay in layout.stays for copy in range(COPIES)]
    assert sorted(row["stay_id"] for row in stays) == sorted(every)
    measured = [(named(stay, copy), variable) for stay, _, variable in layout.observations for copy in range(COPIES)]
    assert sorted((row["stay_id"], row["variable"]) for row in observations) == sorted(measured)
    assert sorted(_scored(root, layout.day)) == sorted(layout.open_stays())
    assert layout.nights in said
    page = (root / "reports" / layout.day.isoformat() / "index.html").read_text()
    assert "No model has been trained yet" not in page
    if layout.open_stays():
        assert f"{COPIES} open stays scored with" in said
        assert f"{COPIES} patients in a bed scored" in " ".join(page.split())
    else:
        nobody = f"obody was scored: nobody is in a bed: all {len(every)} known stays have ended"
        assert nobody in said
        assert nobody in " ".join(page.split())
        assert "It scored nobody this night." in page


def test_one_night_of_a_database_needs_nothing_before_it(ran, request):
    root = ran.bootstrapped("alone")
    assert f"{COPIES} open stays scored with" in ran.output("nightly", root)
    _require_shipped_settings(root, "omop", request)
    assert sorted(_scored(root, omop.DAY)) == sorted(LAYOUTS["omop"].open_stays())


def test_the_backtest_of_a_database_is_a_record_of_errors(ran):
    page = (ran.bootstrapped("omop") / "reports" / omop.DAY.isoformat() / "index.html").read_text()
    assert "of these nights were scored afterwards" in " ".join(page.split())


def test_no_feed_of_shifted_dates_is_called_late(ran):
    assert "older than the end of the date" not in ran.output("bootstrap", ran.bootstrapped("mimic4"))


def test_a_database_is_asked_for_its_address_and_not_for_files(ran):
    for example in LAYOUTS:
        root = ran.bootstrapped(example)
        begun = ran.output("init", root)
        assert ("files" in begun, "url_variable" in begun) == ((False, True) if example == "omop" else (True, False))
