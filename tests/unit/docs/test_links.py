"""What a document points at is there: files, headings, and code that it names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# What the code is called today; the changelog also says what it was called.
CURRENT = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_OUTSIDE = re.compile(r"^[a-z][a-z0-9+.-]*:")
_CODE = re.compile(r"`((?:medlstm|flows|tasks|tests|benchmarks|data_contracts|docs)/[\w./-]+)`")
_MODULE = re.compile(r"`((?:medlstm|flows|tasks)(?:\.\w+)+)`")


def dead_links(document: Path) -> list[str]:
    """The links of a document to files or headings that are not there."""
    dead = []
    for target in _LINK.findall(_without_code(document.read_text(encoding="utf-8"))):
        if _OUTSIDE.match(target):
            continue
        name, _, heading = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists() or (heading and heading not in _headings(path)):
            dead.append(target)
    return dead


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def _headings(document: Path) -> set[str]:
    found = re.findall(r"^#+ (.+)$", _without_code(document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_link_is_dead(document):
    assert dead_links(document) == []


def test_a_dead_link_is_found(tmp_path):
    document = tmp_path / "page.md"
    document.write_text("# Here\n[a](page.md#here) [b](page.md#there) [c](gone.md) [d](https://example.org)\n")
    assert dead_links(document) == ["page.md#there", "gone.md"]


@pytest.mark.parametrize("document", CURRENT, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_that_is_named_is_there(document):
    text = _without_code(document.read_text(encoding="utf-8"))
    assert [name for name in _CODE.findall(text) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", CURRENT, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_that_is_named_is_there(document):
    text = _without_code(document.read_text(encoding="utf-8"))
    missing = [name for name in _MODULE.findall(text) if not _is_there(name)]
    assert [name for name in missing if name != "medlstm.toml"] == []


def _is_there(dotted: str) -> bool:
    """A module, or a name in one."""
    parts = dotted.split(".")
    for count in (len(parts), len(parts) - 1):
        path = ROOT.joinpath(*parts[:count])
        if count > 1 and (path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()):
            return count == len(parts) or re.search(rf"\b{parts[-1]}\b", _text_of(path)) is not None
    return False


def _text_of(path: Path) -> str:
    file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
    return file.read_text(encoding="utf-8")


def test_every_word_of_the_glossary_names_the_file_that_owns_it():
    lines = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|") and not line.startswith(("|---", "| word"))]
    assert len(rows) > 40
    assert [row for row in rows if not re.search(r"\| `[\w./]+\.py` \|$", row)] == []
