"""Tests that headers of recipes and tables of the guide agree with the code."""

import pytest

from benchmarks import hardware
from vortex_hep.nn.loop.recipes import load_recipe


def test_committed_figures_are_those_of_the_code():
    for path, text in hardware.wanted_texts().items():
        assert path.read_text("utf-8") == text, path.name


def test_headers_are_replaced_not_added():
    text = "# Why.\nhardware: x\n\n# And\nbatch: 1\n"
    once = hardware.header(load_recipe("laptop_cpu")) + text
    assert hardware.without_header(once) == hardware.without_header(text) == text
    assert "0.5 million parameters where records have 4 bytes" in once


def test_tables():
    found = [load_recipe("default")]
    row = hardware.recipe_table(found).splitlines()[2]
    assert row.startswith(
        "| `default` | NVIDIA RTX 3080 or 3090, 12 GB | 8 | 512 | 8 | 2048 | 40.5"
    )
    cells = hardware.memory_table(found).splitlines()[2].strip("| ").split(" | ")
    parts, total = [float(c) for c in cells[1:5]], float(cells[5])
    assert total == pytest.approx(sum(parts), abs=0.02)
    assert (float(cells[6]), cells[8]) == (12, cells[5])
    assert float(cells[7]) > float(cells[8])


def test_stale_files_fail_the_check_and_are_rewritten(tmp_path, monkeypatch, capsys):
    guide = tmp_path / "hardware.md"
    guide.write_text(hardware.GUIDE.read_text("utf-8").replace("| `default` |", "| `other` |"))
    monkeypatch.setattr(hardware, "GUIDE", guide)
    monkeypatch.setattr("sys.argv", ["hardware", "--check"])
    assert hardware.main() == 1
    assert "out of date: hardware.md" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["hardware"])
    assert hardware.main() == 0
    monkeypatch.setattr("sys.argv", ["hardware", "--check"])
    assert hardware.main() == 0
    guide.write_text("no markers")
    with pytest.raises(SystemExit, match="recipes: begin"):
        hardware.main()
