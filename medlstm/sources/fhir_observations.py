"""Raw rows of observations: known by their codes, in their own unit, of the stay that they were made in."""

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from medlstm.lake.schemas import RETRACTED
from medlstm.settings.source import FhirSource, JoinSection, TableMapping
from medlstm.settings.workspace import Config
from medlstm.sources.fhir_measurements import Code, Measurement, measurements
from medlstm.sources.fhir_stay_rows import texts
from medlstm.sources.fhir_stays import Known, Stays
from medlstm.sources.joins import Lookup, make_lookup, with_joined
from medlstm.sources.mapping import Received
from medlstm.sources.source_batch import raw_rows
from medlstm.values.parsing import parse_timestamps
from medlstm.values.units import in_own_units, unit_table

_STAY_OF_TIME = JoinSection.model_validate(
    {"name": "stay", "pattern": "*", "on": {"patient_id": "patient_id"},
     "between": {"time": "observed_at", "start": "begin", "stop": "end"}}
)  # fmt: skip
_MAPPING = TableMapping(table="observations", columns={"stay_id": "stay.stay_id"})
_SHOWN_CODES = 20
NO_NUMBER = "observations hold no number and were left out"
OF_NO_STAY = "numbers belong to encounters that were left out"
BELONGS_NOWHERE = "numbers name no encounter, and lie in no stay of their patient; they were left out"


@dataclass
class UnnamedCodes:
    """How many numbers have a code that nobody named, by code."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, str | None] = field(default_factory=dict)

    def note(self, code: Code | None) -> None:
        name = code.name if code else ""
        self.counts[name] += 1
        if code:
            self.names.setdefault(name, code.display)

    def message(self) -> str | None:
        """The largest first, with a line for the configuration; codes identify no patient."""
        if not self.counts:
            return None
        told = f"{self.counts.total()} numbers have a code that neither medlstm nor codes names, and were left out"
        ranked = sorted(self.counts.items(), key=lambda one: (-one[1], one[0]))
        largest = [(code, number) for code, number in ranked if code][:_SHOWN_CODES]
        if not largest:
            return f"{told}; they have no code at all"
        listed = ", ".join(f"{number} of {code}" for code, number in largest)
        more = len([code for code, _ in ranked if code]) - len(largest)
        line = ", ".join(f"{_quoted(code)} = {_quoted(self._variable(code))}" for code, _ in largest)
        return (
            f"{told}: {listed}{f' and {more} further codes' if more else ''}. To take them in, put those that you want "
            f"into [source], with names of your own: codes = {{ {line} }}"
        )

    def _variable(self, code: str) -> str:
        """A name for a variable: what the coding calls the code, else the code itself."""
        plain = re.sub(r"[^a-z0-9]+", "_", (self.names[code] or "").lower()).strip("_")[:48].rstrip("_")
        return plain or "code_" + re.sub(r"[^A-Za-z0-9]+", "_", code).strip("_").lower()


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", " ", escaped) + '"'


class ObservationReader:
    """Observations of one delivery to rows, by the stays that are known."""

    def __init__(self, known: Known, stays: Stays, config: Config) -> None:
        assert isinstance(config.source, FhirSource)
        self.counts = Counter[str]()
        self.unnamed = UnnamedCodes()
        self._known = known
        self._stays = stays
        self._timezone = config.workspace.timezone
        self._variables = unit_table().variables | config.source.codes
        self._stay_of_time = _stay_of_time(stays, config.workspace.timezone)

    def rows(self, resources: list[tuple[int, dict[str, object]]], name: str) -> pa.Table:
        """The numbers of (row, resource) of one file. What is left out is counted."""
        found: list[tuple[int, Measurement, str | None]] = []
        for number, resource in resources:
            numbers = list(measurements(resource, self._variables))
            self.counts[NO_NUMBER] += not numbers
            for one in numbers:
                if one.variable is None:
                    self.unnamed.note(one.code)
                    continue
                encounter = self._known.index.find(one.encounter, "Encounter", self.counts)
                if encounter in self._stays.left_out:
                    self.counts[OF_NO_STAY] += 1
                    continue
                found.append((number, one, self._stays.of_encounter.get(encounter or "", encounter)))
        times = texts(one.observed_at for _, one, _ in found)
        stays, belongs = self._placed([one for _, one, _ in found], [stay for _, _, stay in found], times)
        variable = texts(one.variable for _, one, _ in found)
        columns = {
            "stay_id": stays,
            "observed_at": times,
            "variable": variable,
            "value": in_own_units(texts(one.value for _, one, _ in found), variable,
                                  texts(one.unit for _, one, _ in found)),
            RETRACTED: texts("true" if one.retracted else None for _, one, _ in found),
        }  # fmt: skip
        rows = raw_rows(columns, name, np.array([number for number, _, _ in found], dtype=np.int64))
        return rows.filter(pa.array(belongs)) if not belongs.all() else rows

    def _placed(
        self, rows: list[Measurement], stays: list[str | None], times: pa.Array
    ) -> tuple[pa.Array, np.ndarray]:
        """The stay of each row; of one that names no encounter the one in which its patient was at that time. Rows that
        belong are all but those of a patient at a time in no stay: what lacks either is for the contract to refuse."""
        belongs = np.ones(len(rows), dtype=bool)
        nameless = [place for place, stay in enumerate(stays) if stay is None]
        if not nameless:
            return texts(stays), belongs
        patients = [self._known.index.find(rows[place].patient, "Patient", self.counts) for place in nameless]
        columns = pa.table({"patient_id": texts(patients), "observed_at": times.take(pa.array(nameless))})
        received = Received(columns.column_names, columns, np.array(nameless), [])
        joined = with_joined(received, self._stay_of_time, _MAPPING, self._timezone)
        found = joined.rows.columns.column("stay.stay_id").to_pylist()
        timed = parse_timestamps(columns.column("observed_at").to_pandas().astype("str"), self._timezone).values.notna()
        for place, patient, stay, has_time in zip(nameless, patients, found, timed, strict=True):
            stays[place] = stay
            belongs[place] = stay is not None or patient is None or not has_time
        self.counts[BELONGS_NOWHERE] += int((~belongs).sum())
        return texts(stays), belongs


def _stay_of_time(stays: Stays, timezone: str) -> Lookup:
    """The stays by patient and time, for observations that name no encounter."""
    known = list(stays.by_id.values())
    table = pa.table(
        {
            "patient_id": texts(one.patient_id for one in known),
            "begin": texts(one.begin for one in known),
            "end": texts(one.end for one in known),
            "stay_id": texts(one.stay_id for one in known),
        }
    )
    return make_lookup(_STAY_OF_TIME, set(table.column_names), [table], _MAPPING, timezone)
