import doctest
import inspect
import re
from pathlib import Path

from medlstm.models.gates import cell_step

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "lstm.md"


def test_every_example_of_the_document_gives_what_it_says():
    done = doctest.testfile(str(DOCUMENT), module_relative=False, encoding="utf-8")
    assert done.failed == 0
    assert done.attempted > 40


def test_the_lines_beside_the_equations_are_those_of_the_code():
    quoted = re.findall(r"^\| [a-z ]+ \| .+ \| `(.+)` \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    lines = [line.strip() for line in inspect.getsource(cell_step).splitlines()]
    assert len(quoted) == 6
    assert [line for line in quoted if line not in lines] == []
