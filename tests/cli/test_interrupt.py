"""Tests of Ctrl-C: one line, exit code 130, nothing half-written."""

import signal
import subprocess
import sys

import pytest

from tests.waiting import PATIENCE
from vortex_hep.testing.examples import write_example


@pytest.mark.slow
@pytest.mark.parametrize("command", ["compress", "train"])
def test_interrupt_leaves_no_output(tmp_path, command):
    source = tmp_path / "in.root"
    write_example(source, events=400, seed=3)
    process = subprocess.Popen(
        [sys.executable, "-m", "vortex_hep", command, str(source)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Jobs in the background of a script ignore it, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    first = process.stderr.readline()  # the work is under way
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, first + err
    assert err.splitlines()[-1] == "vortex-hep: interrupted"
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == [source]
