import pytest
from typer.testing import CliRunner

from flows.command_line.app import Example, app
from medlstm.settings.workspace import load_config
from medlstm.sources.read_landing import READERS


@pytest.mark.parametrize("example", list(Example))
def test_every_example_is_a_workspace_that_loads(tmp_path, example):
    folder = tmp_path / "workspace"
    result = CliRunner().invoke(app, ["init", str(folder), "--example", example.value])
    assert result.exit_code == 0, result.output
    source = load_config(folder).source
    assert source.format in READERS
    if example.value in READERS:
        assert source.format == example.value


def test_every_format_has_an_example_and_a_section_in_the_documentation(request):
    documented = (request.config.rootpath / "docs" / "sources.md").read_text()
    for name in READERS:
        assert name in {example.value for example in Example}
        assert name == "physionet2012" or f"\n## {name}: " in documented
