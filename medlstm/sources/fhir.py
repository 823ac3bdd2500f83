"""FHIR resources, R4 and R5, as Bulk Data exports them (https://hl7.org/fhir/uv/bulkdata/): NDJSON, one type per file,
or Bundles, which may delete.

Encounters of the wanted classes are stays, with gender and birth date from Patient and the disease from Condition.
Observations are measurements, by LOINC code (medlstm/values/reference/variables.csv) and in the variable's own unit.
What a delivery refers to may have come with an earlier one: patients, conditions and encounters are remembered.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow as pa

from medlstm.errors import ConfigError
from medlstm.settings.source import FhirSource
from medlstm.settings.workspace import Config
from medlstm.sources import json_lines
from medlstm.sources.fhir_facts import KINDS, Entry, Fact, entries, fact, from_remembered, to_remember
from medlstm.sources.fhir_files import read_resources
from medlstm.sources.fhir_json import text
from medlstm.sources.fhir_observations import BELONGS_NOWHERE, NO_NUMBER, OF_NO_STAY, ObservationReader
from medlstm.sources.fhir_stay_rows import stay_rows
from medlstm.sources.fhir_stays import UNBEGUN, UNWANTED, Known, stays_of
from medlstm.sources.source_batch import (
    FilesRead,
    Landed,
    LandingFolder,
    LandingWarning,
    LeftOut,
    RowBatch,
    TableName,
    UnreadableFile,
    unparsed_rows,
)

FEATURES = ("age", "gender", "disease", "ward", "encounter_class", "admit_source")
_BATCH_LINES = 20_000
_BUNDLE, _OBSERVATION = "Bundle", "Observation"
# What the configuration leaves out; all other counts are warnings.
_LEFT_OUT: dict[str, TableName] = {
    **dict.fromkeys((f"encounters {UNBEGUN}", f"encounters {UNWANTED}"), "stays"),
    **dict.fromkeys((NO_NUMBER, OF_NO_STAY, BELONGS_NOWHERE), "observations"),
}
_USED = (*KINDS, _OBSERVATION, _BUNDLE)

_Resources = list[tuple[int, dict[str, Any]]]


def read(landing: LandingFolder, config: Config) -> Iterator[Landed]:
    """Patients, conditions and encounters first, as stays, then observations. Raises ConfigError for a feature that no
    resource gives."""
    source = config.source
    assert isinstance(source, FhirSource)
    _require_known_features(config)
    files, others = _files_by_type(landing, source)
    facts: list[Fact] = []
    for item in _facts(landing, files):
        if isinstance(item, Fact):
            facts.append(item)
        else:
            yield item
    counts = Counter[str]()
    earlier, known = Known(), Known()
    recalled = landing.recalled
    remembered = list(from_remembered(recalled.earlier)) if recalled else []
    earlier.learn(remembered, Counter())
    before = stays_of(earlier, source, config.workspace.timezone, Counter())
    known.learn(remembered, Counter())
    known.learn(from_remembered(recalled.own) if recalled else facts, counts)
    after = stays_of(known, source, config.workspace.timezone, counts)
    yield from stay_rows(facts, known, before, after, counts, config)
    reader = ObservationReader(known, after, config)
    for path in files.get(_OBSERVATION, []) + files.get(_BUNDLE, []):
        yield from _observations(path, path in files.get(_BUNDLE, []), landing, reader)
    for what, rows in sorted((+(counts + reader.counts)).items()):
        table = _LEFT_OUT.get(what)
        yield LeftOut(table, what, rows) if table else LandingWarning(f"{landing.extract_date}: {rows} {what}")
    unnamed = reader.unnamed.message()
    if unnamed:
        yield LandingWarning(f"{landing.extract_date}: {unnamed}")
    yield from _unused(landing, source, files, others)


def remember(folders: Sequence[LandingFolder], config: Config) -> pa.Table:
    """The facts of several folders' patients, conditions and encounters, in the order of the folders."""
    assert isinstance(config.source, FhirSource)
    facts: list[Fact] = []
    for landing in folders:
        files, _ = _files_by_type(landing, config.source)
        facts += [item for item in _facts(landing, files) if isinstance(item, Fact)]
    return to_remember(facts)


def _require_known_features(config: Config) -> None:
    for name in (*config.features.numeric, *config.features.categorical):
        if name not in FEATURES:
            raise ConfigError(f"features: {name} is none that the fhir source gives; it gives {', '.join(FEATURES)}")


def _files_by_type(landing: LandingFolder, source: FhirSource) -> tuple[dict[str, list[Path]], list[tuple[str, str]]]:
    """Files by the type of their first resource, and (name, reason) of those that have none. Empty files count as
    read: an export of nothing."""
    files: dict[str, list[Path]] = {}
    others = []
    for path in landing.files:
        if not fnmatch(landing.name(path), source.files):
            continue
        try:
            batch = next(read_resources(path, 50), [])
        except OSError as error:
            others.append((landing.name(path), f"cannot be read ({type(error).__name__}); is it complete?"))
            continue
        kinds = [text(content, "resourceType") for _, content, _ in batch]
        kind = next((kind for kind in kinds if kind), None)
        if kind is None and batch:
            others.append((landing.name(path), "none of its first lines is a FHIR resource; is it NDJSON?"))
        else:
            files.setdefault(kind or "Patient", []).append(path)
    return files, others


def _facts(landing: LandingFolder, files: dict[str, list[Path]]) -> Iterator[Fact | Landed]:
    """Of all files but observations, in their order, so that the later of two versions comes later."""
    wanted = {path: kind for kind in (*KINDS, _BUNDLE) for path in files.get(kind, [])}
    for path in sorted(wanted, key=landing.files.index):
        name, kind = landing.name(path), wanted[path]
        try:
            for batch in read_resources(path, _BATCH_LINES):
                bad = []
                for number, content, line in batch:
                    if content is None or text(content, "resourceType") != kind:
                        bad.append((number, line or json.dumps(content)))
                        continue
                    for entry in entries(content):
                        found = fact(entry, name, number)
                        if found:
                            yield found
                        elif not _is_other(entry, kind):
                            bad.append((number, json.dumps(entry.resource)))
                if bad:
                    yield RowBatch("stays", unparsed_rows(name, bad))
            if kind != _BUNDLE:
                yield FilesRead((name,))
        except OSError as error:
            if kind != _BUNDLE:
                yield _broken(name, error)


def _is_other(entry: Entry, kind: str) -> bool:
    """Whether a Bundle's entry is no fact, and need not be one."""
    if kind != _BUNDLE:
        return False
    return entry.deleted is not None or text(entry.resource, "resourceType") not in KINDS


def _observations(path: Path, bundled: bool, landing: LandingFolder, reader: ObservationReader) -> Iterator[Landed]:
    name = landing.name(path)
    try:
        for batch in read_resources(path, _BATCH_LINES):
            resources, bad = _in_bundles(batch, reader) if bundled else _in_lines(batch)
            yield RowBatch("observations", reader.rows(resources, name))
            if bad:
                yield RowBatch("observations", unparsed_rows(name, bad))
        yield FilesRead((name,))
    except OSError as error:
        yield _broken(name, error)


def _in_lines(batch: Iterable[json_lines.Line]) -> tuple[_Resources, list[tuple[int, str]]]:
    resources: _Resources = []
    bad = []
    for number, content, line in batch:
        if content is not None and text(content, "resourceType") == _OBSERVATION and text(content, "id"):
            resources.append((number, content))
        else:
            bad.append((number, line or json.dumps(content)))
    return resources, bad


def _in_bundles(
    batch: Iterable[json_lines.Line], reader: ObservationReader
) -> tuple[_Resources, list[tuple[int, str]]]:
    """Lines that are no Bundle are told where its patients and encounters are read."""
    resources: _Resources = []
    bad = []
    for number, content, _ in batch:
        for entry in entries(content) if text(content, "resourceType") == _BUNDLE and content else ():
            kind = text(entry.resource, "resourceType")
            if entry.deleted and entry.deleted.type == _OBSERVATION:
                reader.counts["observations are deleted by their id alone; their numbers stay as they were sent"] += 1
            elif kind == _OBSERVATION and text(entry.resource, "id") and entry.resource:
                resources.append((number, entry.resource))
            elif kind == _OBSERVATION:
                bad.append((number, json.dumps(entry.resource)))
            elif entry.resource is not None and kind not in _USED:
                reader.counts[f"resources in Bundles are of {kind} and hold nothing that is used"] += 1
    return resources, bad


def _broken(name: str, error: OSError) -> UnreadableFile:
    return UnreadableFile(name, f"cannot be read to its end ({type(error).__name__}); is it complete?")


def _unused(
    landing: LandingFolder, source: FhirSource, files: dict[str, list[Path]], others: list[tuple[str, str]]
) -> Iterator[Landed]:
    for name, reason in others:
        yield UnreadableFile(name, reason)
    rest = sorted(set(files) - set(_USED))
    if rest:
        number = sum(len(files[kind]) for kind in rest)
        yield LandingWarning(f"{landing.extract_date}: {number} files of {', '.join(rest)} hold nothing that is used")
    unmatched = sum(not fnmatch(landing.name(path), source.files) for path in landing.files)
    if unmatched:
        yield LandingWarning(
            f"{landing.extract_date}: {unmatched} of {len(landing.files)} files do not match {source.files} and were "
            "not read"
        )
