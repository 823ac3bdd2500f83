"""Published layouts as a user takes them in: `init`, files copied, `ingest`, `validate`; nothing is edited.

The commands of all layouts run in one process, since what they import takes longer than what they do.
"""

import json
import sqlite3
import subprocess
import sys

import pytest

from medlstm.settings.workspace import load_config
from tests.conftest import quiet_environment
from tests.layouts import eicu, mimic4, omop, synthea
from tests.layouts.truth import admitted_stays, require_observations

LAYOUTS = {
    "mimic4": (mimic4.DAY, mimic4.write, mimic4.STAYS, mimic4.OBSERVATIONS),
    "eicu": (eicu.DAY, eicu.write, eicu.STAYS, eicu.OBSERVATIONS),
    "synthea": (synthea.DAY, synthea.write_csv_export, synthea.STAYS, synthea.OBSERVATIONS),
    "synthea_fhir": (synthea.DAY, synthea.write_bundles, synthea.BUNDLE_STAYS, synthea.OBSERVATIONS),
    "omop": (omop.DAY, lambda folder: None, omop.STAYS, omop.OBSERVATIONS),
}
COMMANDS = """
import json, sys
from flows.command_line.app import app
for arguments in json.load(sys.stdin):
    app(arguments, standalone_mode=False)
"""


@pytest.fixture(scope="module")
def root(prefect_api, prefect_home, tmp_path_factory):
    """The folder of one workspace per layout, all taken in and validated."""
    folder = tmp_path_factory.mktemp("layouts")
    with sqlite3.connect(folder / "cdm.db") as connection:
        connection.executescript(";\n".join(omop.statements()))
    commands = []
    for example, (day, write, _, _) in LAYOUTS.items():
        workspace = str(folder / example)
        write(folder / example / "landing" / day.isoformat())
        commands.append(["init", workspace, "--example", example])
        for step in ("ingest", "validate"):
            commands.append([step, "--workspace", workspace, "--as-of", day.isoformat()])
    address = f"sqlite:///{folder / 'cdm.db'}"
    environment = quiet_environment(prefect_home, PREFECT_API_URL=prefect_api, OMOP_DATABASE_URL=address)
    done = subprocess.run([sys.executable, "-c", COMMANDS], input=json.dumps(commands), env=environment, text=True,
                          cwd=folder, capture_output=True, timeout=600, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("example", LAYOUTS)
def test_a_published_layout_comes_through_with_no_line_edited(example, root, request):
    day, _, stays, observations = LAYOUTS[example]
    shipped = request.config.rootpath / "medlstm" / "settings" / "examples" / f"{example}.toml"
    assert (root / example / "medlstm.toml").read_bytes() == shipped.read_bytes()
    assert admitted_stays(root / example, day, load_config(root / example)) == stays
    require_observations(root / example, day, observations)
