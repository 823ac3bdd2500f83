"""A change of what others rely on is seen in review: it changes a text beside this file."""

import pytest

from tests.unit.surface.surface import FOLDER, SURFACES, text_of


@pytest.mark.parametrize("name", sorted(SURFACES))
def test_the_surface_is_what_review_has_seen(name):
    seen = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert text_of(name) == seen, f"if this is meant: python -m {text_of.__module__}"
