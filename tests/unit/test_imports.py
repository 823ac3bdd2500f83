import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {
    "medlstm": {"medlstm", "data_contracts"},
    "tasks": {"tasks", "medlstm"},
    "flows": {"flows", "tasks", "medlstm"},
}
OURS = {"medlstm", "tasks", "flows", "data_contracts"}


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_go_from_flows_to_tasks_to_the_core(package):
    wrong = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            tops = {module.split(".")[0] for module in modules if module}
            wrong += [(path.name, top) for top in tops & OURS - ALLOWED[package]]
            if package == "medlstm":
                wrong += [(path.name, top) for top in tops & {"prefect", "prefect_dask", "dask", "distributed"}]
    assert wrong == []
