"""The templates for published layouts of files, as `init` writes them, on made-up files of these layouts."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.command_line.app import Example, app
from medlstm.settings.workspace import load_config
from tests.layouts import eicu, mimic4, synthea
from tests.layouts.truth import admitted_stays, require_observations
from tests.unit.night import quarantined, take_in, take_in_and_validate

EXAMPLES = Path("medlstm/settings/examples")


class Night:
    """A workspace of a template that nobody edited, with a date taken in and validated."""

    def __init__(self, root: Path, example: str, day, write) -> None:
        result = CliRunner().invoke(app, ["init", str(root), "--example", example])
        assert result.exit_code == 0, result.output
        self.root, self.day, self.example = root, day, example
        write(root / "landing" / day.isoformat())
        self.config = load_config(root)
        self.reports = take_in_and_validate(root, day, self.config)
        self.landed = take_in(root, day, self.config)

    def stays(self):
        return admitted_stays(self.root, self.day, self.config)

    def left_out(self) -> set[str]:
        told = (one.split(": ", 2)[1:] for one in self.landed.warnings if one.count(": ") > 1)
        by_choice = {f"{rows} of {what}" for what, rows in self.landed.left_out.items()}
        return {f"{Path(name).name}: {what}" for name, what in told} | by_choice


LAYOUTS = {
    "mimic4": (mimic4.DAY, mimic4.write, mimic4),
    "eicu": (eicu.DAY, eicu.write, eicu),
    "synthea": (synthea.DAY, synthea.write_csv_export, synthea),
    "synthea_fhir": (synthea.DAY, synthea.write_bundles, synthea),
}


@pytest.fixture(scope="module", params=LAYOUTS)
def night(request, tmp_path_factory):
    day, write, _ = LAYOUTS[request.param]
    return Night(tmp_path_factory.mktemp(request.param) / "w", request.param, day, write)


def test_the_template_admits_what_the_files_say_and_nobody_edits_a_line(night, request):
    _, _, truth = LAYOUTS[night.example]
    shipped = (request.config.rootpath / EXAMPLES / f"{night.example}.toml").read_text(encoding="utf-8").splitlines()
    used = (night.root / "medlstm.toml").read_text(encoding="utf-8").splitlines()
    assert sum(one != other for one, other in zip(shipped, used, strict=True)) == 0
    expected = truth.BUNDLE_STAYS if night.example == "synthea_fhir" else truth.STAYS
    assert night.stays() == expected
    require_observations(night.root, night.day, truth.OBSERVATIONS)


def test_every_row_is_admitted_quarantined_or_counted(night):
    assert night.landed.unreadable == ()
    for report in night.reports.values():
        assert report.rows_in == report.admitted + report.quarantined + report.exact_duplicates
        assert report.quarantined == 0, quarantined(night.root, report.table, night.day)
    assert {
        "mimic4": {
            "admissions.csv.gz: 1 rows have no row in *icustays.csv* (join icu)",
            "2 of *chartevents.csv*: by keep and drop",
            "1 of *chartevents.csv*: of variables that the mapping does not name",
            "1 of *labevents.csv*: by keep and drop",
            "1 of *labevents.csv*: of variables that the mapping does not name",
            "1 of *labevents.csv*: of no stay",
        },
        "eicu": {
            "1 of lab.csv*: by keep and drop",
            "1 of lab.csv*: of variables that the mapping does not name",
        },
        "synthea": {
            "encounters.csv: 2 rows have no row in *conditions.csv* (join condition)",
            "2 of *encounters.csv*: by keep and drop",
            "observations.csv: 1 rows have no row in *encounters.csv* (join encounter)",
            "3 of *observations.csv*: by keep and drop",
            "1 of *observations.csv*: of variables that the mapping does not name",
        },
        "synthea_fhir": set(),
    }[night.example] <= night.left_out()  # fmt: skip


def test_every_file_counts_once(night):
    files = [path for path in (night.root / "landing").rglob("*") if path.is_file()]
    unread = {"mimic4": 2, "eicu": 2, "synthea": 1, "synthea_fhir": 0}[night.example]
    assert night.landed.files_read == len(files) - unread


def test_a_release_in_a_folder_of_its_own_name_is_read_as_well(tmp_path):
    def write(folder: Path) -> None:
        mimic4.write(folder / "mimic-iv-clinical-database-demo-2.2")

    assert Night(tmp_path / "w", "mimic4", mimic4.DAY, write).stays() == mimic4.STAYS


def test_the_variables_of_the_templates_are_those_whose_units_and_limits_are_known():
    from medlstm.values.units import unit_table

    # Parts of the Glasgow coma score, which the table of variables has no unit for.
    known = {*unit_table().units, "gcs_eye", "gcs_verbal", "gcs_motor"}
    for example in ("mimic4", "eicu", "synthea", "omop"):
        source = tomllib.loads((EXAMPLES / f"{example}.toml").read_text(encoding="utf-8"))["source"]
        for block in source.get("files", source.get("tables")):
            assert {*block.get("spellings", {}).get("variable", {}).values()} <= known
    assert {"omop", "mimic4", "eicu", "synthea", "synthea_fhir"} <= {one.value for one in Example}
