"""One bad entry under models/ stops no night, and none scores with a record that is not the one that was registered."""

import json
from datetime import timedelta

import pytest

from medlstm.errors import MedlstmError
from medlstm.lake.files import Workspace
from medlstm.registry.records import listed_models, record_path
from medlstm.registry.versions import (
    champion,
    damaged_models,
    load_records,
    save_model,
    training_due,
    unusable_models,
)
from tests.unit.registry.test_saved_models import NIGHT, _in_memory

LATER = NIGHT + timedelta(days=7)


@pytest.fixture
def two(tmp_path):
    """A workspace with two promoted models, the versions oldest first."""
    place = Workspace(tmp_path)
    saved = [save_model(place, _in_memory(name, "hazard", "clinical"), night, promoted=True, note="")
             for name, night in (("median", NIGHT), ("ridge", LATER))]  # fmt: skip
    return place, [record.version for record in saved]


def changed(place, version, change):
    path = record_path(place, version)
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


DAMAGES = {
    "edges doubled": lambda raw: raw["spec"].update(edges_days=[2 * edge for edge in raw["spec"]["edges_days"]]),
    "promoted flipped": lambda raw: raw.update(promoted=False),
    "another version's key": lambda raw: raw.update(colour="blue"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_record_that_was_changed_is_not_used(two, damage):
    place, (old, new) = two
    assert champion(place, LATER).version == new
    changed(place, new, DAMAGES[damage])
    assert champion(place, LATER).version == old
    (unusable,) = unusable_models(place)
    assert (unusable.version, "was changed after it was registered" in unusable.why) == (new, True)
    assert training_due(place, LATER, 7), "a training takes the place of the one that is lost"
    assert [one.version for one in damaged_models(place)] == [new]


def test_an_old_entry_that_is_damaged_leaves_the_champion_alone(two):
    place, (old, new) = two
    record_path(place, old).write_text("{")
    assert champion(place, LATER).version == new
    assert [record.version for record in load_records(place, LATER)] == [new]
    record_path(place, old).unlink()
    (unusable,) = unusable_models(place)
    assert (unusable.version, unusable.why) == (old, "its model.json is missing")
    assert not training_due(place, LATER, 7)


def test_without_a_hash_what_cannot_be_read_names_its_keys_and_no_value(two):
    place, (_, new) = two
    (place.models / "registry.json").write_text(json.dumps({"versions": [new]}))
    changed(place, new, lambda raw: raw.update(training_stays="s-4711"))
    (unusable,) = unusable_models(place)
    assert "training_stays" in unusable.why
    assert "4711" not in unusable.why


@pytest.mark.parametrize("name", ["../../evil", "2026-03-01-zzzzzzzz", "2026-03-01-0123456789"])
def test_a_name_that_is_none_is_not_followed(two, name):
    place, (old, new) = two
    outside = place.models / name / "model.json"
    outside.parent.mkdir(parents=True, exist_ok=True)
    outside.write_text(record_path(place, new).read_text())
    (place.models / "registry.json").write_text(json.dumps({"versions": [old, name]}))
    assert champion(place, LATER).version == old
    assert [(one.version, one.why) for one in unusable_models(place)] == [(name, "that is not the name of a version")]


def test_a_list_that_cannot_be_read_says_which_and_what_to_do(two):
    place, _ = two
    for text in ("", "[]", '{"models": []}'):
        (place.models / "registry.json").write_text(text)
        with pytest.raises(MedlstmError, match=r"registry\.json: no list of versions.*restore it"):
            listed_models(place)


def test_weights_that_were_changed_are_found_by_the_check(two):
    place, (old, _) = two
    weights = place.models / old / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    (damaged,) = damaged_models(place)
    assert damaged.version == old
    assert "not the weights that were saved" in damaged.why
