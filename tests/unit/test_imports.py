import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {
    "medlstm": {"medlstm", "data_contracts"},
    "tasks": {"tasks", "medlstm"},
    "flows": {"flows", "tasks", "medlstm"},
}
OURS = {"medlstm", "tasks", "flows", "data_contracts"}


def test_the_core_imports_neither_prefect_nor_dask():
    names = [
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for path in sorted((ROOT / "medlstm").rglob("*.py"))
    ]
    program = f"import importlib, sys; [importlib.import_module(name) for name in {names!r}]"
    program += "; print([name for name in ('prefect', 'dask', 'distributed') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
