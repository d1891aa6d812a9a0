"""Tests of the guide for production managers: its commands, queries, sites, reasons."""

import re
import shlex
import sqlite3
from pathlib import Path

import pytest

from tests.batch.invented import invented_job
from vortex_hep.batch.report.advice import ADVICE
from vortex_hep.batch.site.site import KINDS, example
from vortex_hep.batch.states import Reason
from vortex_hep.cli.main import build_parser

GUIDE = (Path(__file__).parents[2] / "docs" / "production.md").read_text()


def blocks(language):
    """Code blocks of one language, without their indentation in lists."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", GUIDE, flags=re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def commands():
    """Lines of shell blocks that run one of our commands."""
    lines = [line.strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("vortex-hep ")]


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line):
    words = shlex.split(line.partition(" > ")[0], comments=True)
    build_parser().parse_args(words[1:])


def test_every_command_is_shown():
    text = "\n".join(commands())
    for action in ("train", "compress", "verify", "restore"):
        assert f"vortex-hep dataset {action} " in text
    for action in ("list", "show", "inspect", "report", "resume"):
        assert f"vortex-hep jobs {action} " in text


def test_queries_run_on_a_journal(tmp_path):
    failures = {1: (Reason.NETWORK, "expired")}
    invented_job(tmp_path / "ttbar.sqlite", 6, failures=failures).close()
    queries = [q for block in blocks("sql") for q in block.split(";") if q.strip()]
    shell = re.findall(r'^ *sqlite3 ttbar\.sqlite "(.*)" >', GUIDE, flags=re.MULTILINE)
    assert len(queries) >= 6
    assert len(shell) == 1
    connection = sqlite3.connect(tmp_path / "ttbar.sqlite")
    for query in [*queries, *shell]:
        assert connection.execute(query).fetchall(), query
    connection.close()


def test_every_reason_is_in_the_table():
    for reason in Reason:
        again = "again" if reason.transient else ""
        assert f"| {reason.value} | {again} | {ADVICE[reason]} |" in GUIDE


def test_sites_are_the_examples_that_the_package_has():
    assert set(blocks("yaml")) == {example(kind) for kind in KINDS if kind != "address"}
