"""Tests that nox, ``.ci/run``, GitHub and CONTRIBUTING name the same checks."""

import ast
import re
import shlex

from tests.repository.files import ROOT, read_yaml

RUN = (ROOT / ".ci" / "run").read_text()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: Sessions that ``.ci/run`` does otherwise: it takes the tests from the README, and the program
#: from the environment that the README makes. Coverage is another run of tests that it has run.
OTHERWISE = {"tests", "coverage", "hooks", "build", "wheel"}


def nox_sessions():
    """Commands of each session of noxfile.py, without what it adds to them (``*args``)."""
    found = {}
    for node in ast.parse((ROOT / "noxfile.py").read_text()).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        found[node.name] = [
            shlex.join(str(a.value) for a in call.args if isinstance(a, ast.Constant))
            for call in ast.walk(node)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
            and call.func.attr == "run"
        ]  # fmt: skip
    return found


def shell_commands(text):
    """Commands in the shell blocks of a text, without the folder of the environment."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL))
    parts = re.split(r"&&|\n", blocks)
    return [part.strip().removeprefix(".venv/bin/") for part in parts if part.strip()]


SESSIONS = nox_sessions()


def test_nox_and_run():
    run = re.findall(r"^step \.venv/bin/(?!pip )(.+)$", RUN, flags=re.MULTILINE)
    nox = {
        command for name, commands in SESSIONS.items() for command in commands
        if name not in OTHERWISE
    }  # fmt: skip
    assert len(run) == len(set(run))
    assert set(run) == nox


def test_nox_and_readme():
    """The environment of the tests and their command are those of the README."""
    text = (ROOT / "README.md").read_text().partition("<!-- test command -->")[2]
    _, install, test = shell_commands(text)[:3]
    (assigned,) = re.findall(r"^DEVELOPMENT = (\(.*\))$", (ROOT / "noxfile.py").read_text(), re.M)
    assert shlex.split(install) == ["pip", "install", "-q", *ast.literal_eval(assigned)]
    assert SESSIONS["tests"] == [test]


def test_nox_and_contributing():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    told = shell_commands(text.partition("## Layer map")[0])
    for session in ("lint", "types", "tests"):
        assert set(SESSIONS[session]) <= set(told)
    named = set(re.findall(r"nox -s ([a-z]+)", text))
    assert named
    assert named <= set(SESSIONS)


def test_github_runs_every_session():
    called = set()
    for path in WORKFLOWS:
        for arguments in re.findall(r"nox -s ([^\n]+)", path.read_text()):
            sessions = arguments.partition(" -- ")[0].replace('"', "").split()
            called |= {session.partition("-")[0] for session in sessions}
    assert called == set(SESSIONS)


def test_github_and_run_install_the_same_server():
    def packages(text):
        return set(re.findall(r"\bxrootd-[a-z-]+", text))

    assert packages(RUN)
    assert packages((ROOT / ".github/workflows/ci.yml").read_text()) == packages(RUN)


def test_every_job_is_awaited():
    jobs = read_yaml(".github/workflows/ci.yml")["jobs"]
    assert sorted(jobs["pass"]["needs"]) == sorted(set(jobs) - {"pass"})


def test_actions_are_pinned_and_rights_are_few():
    pins: dict[str, str] = {}
    for path in WORKFLOWS:
        text = path.read_text()
        for action, pin in re.findall(r"uses: ([\w./-]+)@(.*)", text):
            assert re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", pin), f"{path.name}: {action}"
            assert pins.setdefault(action, pin) == pin, f"{path.name}: {action}"
        stated = read_yaml(f".github/workflows/{path.name}")["permissions"]
        assert stated in ({}, {"contents": "read"}), path.name
    assert pins
