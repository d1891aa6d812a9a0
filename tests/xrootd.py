"""A real XRootD server on this machine, for the tests of what goes over the network."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

_CONFIG = """\
all.role server
all.export /data {access}
oss.localroot {root}
all.adminpath {admin}
all.pidpath {admin}
xrd.port {port}
xrd.network nodnr
xrd.allow host 127.0.0.1
{checksums}
{extra}
"""
CHECKSUMS = "xrootd.chksum max 2 adler32 crc32 md5"
#: Below those of Linux's own choice, and shares of them.
_PORTS, _SHARES = range(20_000, 32_000), 16


class XrootdServer:
    """A server of one folder, ``/data``, on a free port of the loopback.

    Parameters
    ----------
    base : Path
        A folder that every user can enter (pytest's own can be entered by their owner alone): the
        server does not run as root. Skips the test where the program is not installed.
    port : int, optional
        By default a free one, which a server that is started again keeps.
    read_only : bool
    extra : str
        Lines for its configuration.

    Attributes
    ----------
    root : Path
        The folder ``/data`` on the local disk; everybody may write there.
    """

    def __init__(
        self, base: Path, port: int | None = None, read_only: bool = False, extra: str = ""
    ) -> None:
        program = shutil.which("xrootd")
        if program is None:
            pytest.skip("needs an XRootD server: apt-get install xrootd-server")
        self.port = port if port is not None else free_port()
        self.log = base / "xrootd.log"
        self.root = base / "root" / "data"
        self._admin = base / "admin"
        self._config = base / "xrootd.cfg"
        import pwd  # not on Windows, where there is no server either

        self._user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        for folder in (self.root, self._admin):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o777)
        access = "r/o" if read_only else "r/w"
        self._config.write_text(
            _CONFIG.format(
                access=access,
                checksums=CHECKSUMS,
                root=self.root.parent,
                admin=self._admin,
                port=self.port,
                extra=extra,
            )
        )

    def url(self, path: str = "data") -> str:
        """URL of a path on the server, such as ``data/in.root``."""
        return f"root://127.0.0.1:{self.port}//{path}"

    def start(self) -> XrootdServer:
        """Start the server, and wait until it answers."""
        user: dict[str, Any] = {}
        if self._user is not None:
            user = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-I", "v4", "-c", str(self._config), "-n", "test"],
                cwd=self._admin, stdout=log, stderr=log, start_new_session=True, **user,
            )  # fmt: skip
        wait_until(self._answers, every=0.02)
        return self

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            text = self.log.read_text(errors="replace")
            pytest.fail(f"the XRootD server did not start:\n{text}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Stop the server, if it runs."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server in the midst of what it does."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let the server keep its connections and answer nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def __enter__(self) -> XrootdServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    """A port of the loopback where nobody listens, nor will soon.

    None of those that the system gives to whoever asks for any, so that a server that is down for
    a while finds its own again; each process of a parallel run has its share.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    while True:
        port = random.randrange(_PORTS.start + worker, _PORTS.stop, _SHARES)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture
def xrootd_base() -> Iterator[Path]:
    """An empty folder for a server."""
    pytest.importorskip("XRootD", reason="needs the extra 'grid'")
    with tempfile.TemporaryDirectory(prefix="vortex-xrootd-") as folder:
        base = Path(folder)
        base.chmod(0o755)
        yield base


@pytest.fixture
def xrootd(xrootd_base: Path) -> Iterator[XrootdServer]:
    """A server that runs and lets everybody write."""
    with XrootdServer(xrootd_base) as server:
        yield server
