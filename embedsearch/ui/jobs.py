"""Work on indexes that the page starts: one job at a time, a process of its own, its state on disk.

A job is a command of embedsearch, as a person would type it. It writes its progress into a file as JSON
lines, and its result, one JSON object, into another one. So any session sees it, after a reload too, and a
server that is started again. Loads no Streamlit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from embedsearch.errors import IndexBusyError

FOLDER = ".jobs"  # in the folder of indexes
KEPT = 10  # jobs of which the state stays
TAIL = 65_536  # bytes at the end of the progress that are looked at
PATIENCE = 15.0  # seconds that a job gets to end by itself
NICE = 10
ABOUT, PROGRESS, RESULT, CANCELLED, SEEN = "job.json", "progress", "result", "cancelled", "seen"
ERROR = "Error: "
DIED = (
    "It ended before it was done: it was killed, the machine was restarted, or there was too little memory. "
    "The work so far is kept. Start it again to resume it."
)
STOPPED = "You stopped it. The work so far is kept: start it again to resume it."


class State(StrEnum):
    """What became of a job."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DIED = "died"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is now.

    Attributes:
        folder: that holds its files.
        title: what it does, for people, such as "Build holidays".
        index: the index that it works on; empty for several.
        command: the arguments of embedsearch.
        started: when, in seconds since 1970.
        pid: of its process.
        born: when the process was started, as the system says it.
        server: the process that started the page's server.
        state: what became of it.
        stage: what happens now.
        done: steps of the stage that are done.
        total: steps in all; 0 where they are not counted.
        seconds: since the stage began, when it was last reported.
        ended: when it last wrote anything, in seconds since 1970.
        reason: why it did not end well, a sentence or more; empty otherwise.
        result: the JSON object that the command printed; empty before its end.
        stopping: whether it was asked to end and has not yet.
        seen: whether a person has closed its message.
    """

    folder: Path
    title: str
    index: str
    command: tuple[str, ...]
    started: float
    pid: int
    born: float
    server: int
    state: State
    stage: str
    done: int
    total: int
    seconds: float
    ended: float
    reason: str
    result: dict[str, Any]
    stopping: bool
    seen: bool


def start(indexes: Path, title: str, index: str, command: Sequence[str]) -> Job:
    """Start a job.

    Args:
        indexes: the folder of indexes.
        title: see `Job`.
        index: see `Job`.
        command: the arguments of embedsearch, without --json and --indexes.

    Raises:
        IndexBusyError: another one is running.
        OSError: the folder can't be written.
    """
    import psutil
    from filelock import FileLock

    root = indexes / FOLDER
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".lock"):
        check_none_runs(indexes)
        now = time.time()
        folder = root / f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S-%f}"
        folder.mkdir()
        whole = [sys.executable, "-m", "embedsearch", "--progress", "json", *command]
        with (folder / PROGRESS).open("wb") as progress, (folder / RESULT).open("wb") as result:
            process = subprocess.Popen(
                [*whole, "--json", "--indexes", str(indexes)],
                stdin=subprocess.DEVNULL,
                stdout=result,
                stderr=progress,
                start_new_session=True,  # so that Ctrl-C reaches the page alone
            )
        if hasattr(os, "setpriority"):
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, NICE)  # searches go first
        born = now
        with suppress(psutil.Error):
            born = psutil.Process(process.pid).create_time()
        about = {
            "title": title,
            "index": index,
            "command": list(command),
            "started": now,
            "pid": process.pid,
            "born": born,
            "server": os.getppid(),
        }
        aside = folder / f".{ABOUT}"
        aside.write_text(json.dumps(about), encoding="utf-8")
        aside.replace(folder / ABOUT)
    threading.Thread(target=process.wait, name="job", daemon=True).start()  # else it stays as a zombie
    for old in _folders(indexes)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return _read(folder)


def jobs(indexes: Path) -> list[Job]:
    """Return the last jobs, newest first."""
    found = []
    for folder in _folders(indexes):
        with suppress(OSError, ValueError, KeyError, TypeError):
            found.append(_read(folder))
    return found


def latest(indexes: Path) -> Job | None:
    """Return the newest job; None where there was none."""
    for folder in _folders(indexes):
        with suppress(OSError, ValueError, KeyError, TypeError):
            return _read(folder)
    return None


def running(indexes: Path) -> Job | None:
    """Return the job that is running; None where none is."""
    job = latest(indexes)  # an earlier one has ended, for there is one at a time
    return job if job is not None and job.state is State.RUNNING else None


def check_none_runs(indexes: Path) -> None:
    """Check that a job can be started.

    Raises:
        IndexBusyError: one is running.
    """
    if busy := running(indexes):
        raise IndexBusyError(
            f"“{busy.title}” is running, and jobs run one at a time. Wait for it, or stop it."
        )


def cancel(job: Job) -> None:
    """Ask a job to end, as Ctrl-C does; kill it where it was asked a while ago. One that has ended is left.

    Another job that was started meanwhile goes on.
    """
    import psutil

    if not _is_alive(job.pid, job.born):
        return
    mark = job.folder / CANCELLED
    with suppress(psutil.Error, OSError):
        process = psutil.Process(job.pid)
        if not mark.exists():
            mark.touch()
            process.terminate()
        elif time.time() - mark.stat().st_mtime >= PATIENCE:
            for each in (*process.children(recursive=True), process):
                each.kill()


def cancel_own(indexes: Path) -> str:
    """End the job that a server started by this process runs; return its title, empty for none.

    A job of another server that works on the same folder goes on.
    """
    job = running(indexes)
    if job is None or job.server != os.getpid():
        return ""
    cancel(job)
    deadline = time.monotonic() + PATIENCE
    while _is_alive(job.pid, job.born) and time.monotonic() < deadline:
        time.sleep(0.1)
    cancel(job)
    return job.title


def close(job: Job) -> None:
    """Show the message of a job that has ended no more."""
    with suppress(OSError):
        (job.folder / SEEN).touch()


def _folders(indexes: Path) -> list[Path]:
    """Return the folders of jobs, newest first."""
    try:
        found = [path for path in (indexes / FOLDER).iterdir() if not path.name.startswith(".")]
    except OSError:
        return []
    return sorted((path for path in found if (path / ABOUT).is_file()), reverse=True)


def _read(folder: Path) -> Job:
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    alive = _is_alive(about["pid"], about["born"])  # before its files, which it may end to write meanwhile
    lines = _tail(folder / PROGRESS).splitlines()
    result = _object((folder / RESULT).read_text(encoding="utf-8", errors="replace"))
    asked = (folder / CANCELLED).exists()
    errors = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
    if alive:
        state, reason = State.RUNNING, ""
    elif result:
        state, reason = State.DONE, ""
    elif errors:
        state, reason = State.FAILED, errors[-1]
    elif any(line.startswith("Traceback") for line in lines):
        state, reason = State.FAILED, f"Something unexpected went wrong. {folder / PROGRESS} shows what."
    else:
        state, reason = (State.CANCELLED, STOPPED) if asked else (State.DIED, DIED)
    said = next((each for line in reversed(lines) if "stage" in (each := _object(line))), {})
    return Job(
        folder=folder,
        title=about["title"],
        index=about["index"],
        command=tuple(about["command"]),
        started=about["started"],
        pid=about["pid"],
        born=about["born"],
        server=about["server"],
        state=state,
        stage=str(said.get("stage", "")),
        done=int(said.get("done") or 0),
        total=int(said.get("total") or 0),
        seconds=float(said.get("seconds") or 0),
        ended=max((folder / name).stat().st_mtime for name in (PROGRESS, RESULT)),
        reason=reason,
        result=result,
        stopping=alive and asked,
        seen=(folder / SEEN).exists(),
    )


def _is_alive(pid: int, born: float) -> bool:
    """Whether a process is running, and is not a later one of the same number."""
    import psutil

    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - born) < 1)
    except psutil.Error:
        return False


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        return file.read().decode("utf-8", "replace")


def _object(text: str) -> dict[str, Any]:
    """Return the JSON object that a text is; an empty one where it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
