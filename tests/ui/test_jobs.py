import json
import os
import signal
import time

import pytest

from embedsearch.errors import IndexBusyError
from embedsearch.store.folders import list_names
from embedsearch.ui import jobs
from embedsearch.ui.jobs import State

TEXTS, HALF = 5000, 2400  # two batches, and more than one
LONG = 120  # seconds that anything may take on a loaded machine


def until(indexes, is_so):
    """Wait until the newest job is as wanted, and return it."""
    deadline = time.monotonic() + LONG
    while not is_so(job := jobs.latest(indexes)):
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    return job


def ended(indexes):
    """The newest job, once it has ended."""
    return until(indexes, lambda job: job.state is not State.RUNNING)


@pytest.fixture
def table(tmp_path):
    """A table of many texts, which takes a while to embed."""
    path = tmp_path / "texts.csv"
    path.write_text("text\n" + "".join(f"The number {n} is said.\n" for n in range(TEXTS)), encoding="utf-8")
    return path


def test_a_job_that_fails_says_so_in_a_sentence(tmp_path):
    """What the command line prints behind "Error:" is the reason; nothing of Python is shown."""
    job = jobs.start(tmp_path, "Remove it", "it", ["remove", "it", "--yes"])
    assert (job.state, job.title, job.index) == (State.RUNNING, "Remove it", "it")
    job = ended(tmp_path)
    assert job.state is State.FAILED
    assert job.reason.startswith("There is no index 'it'")
    assert "Traceback" not in job.reason


def test_jobs_run_one_at_a_time_and_lose_nothing(tmp_path, table):
    """A second job is refused, Stop ends its own; a stopped build is resumed; a killed one is reported."""
    build = ["build", str(table), "--name=numbers", "--text=text"]
    before = jobs.start(tmp_path, "Remove it", "it", ["remove", "it", "--yes"])
    ended(tmp_path)
    jobs.start(tmp_path, "Build numbers", "numbers", build)
    jobs.cancel(before)  # a button that was drawn for a job which has ended meanwhile
    job = until(tmp_path, lambda job: job.done > HALF or job.state is not State.RUNNING)
    assert job.state is State.RUNNING, job.reason
    assert job.stage.startswith("embedding with")
    assert HALF < job.done < TEXTS <= job.total < 1.1 * TEXTS  # counted by the size of the file
    with pytest.raises(IndexBusyError, match="“Build numbers” is running"):
        jobs.start(tmp_path, "Remove numbers", "numbers", ["remove", "numbers", "--yes"])
    jobs.cancel(job)
    job = ended(tmp_path)
    assert (job.state, job.reason) == (State.CANCELLED, jobs.STOPPED)
    assert list_names(tmp_path) == []

    jobs.start(tmp_path, "Build numbers", "numbers", ["rebuild", "numbers"])
    job = until(tmp_path, lambda job: "resuming after" in job.stage or job.state is not State.RUNNING)
    assert "resuming after" in job.stage, job
    os.kill(job.pid, signal.SIGKILL)
    job = ended(tmp_path)
    assert (job.state, job.reason) == (State.DIED, jobs.DIED)


def test_a_job_of_another_process_with_the_same_number_has_ended(tmp_path):
    """After a restart of the machine a job's number may be another process's: it counts as ended."""
    folder = tmp_path / jobs.FOLDER / "20260101-000000-000000"
    folder.mkdir(parents=True)
    about = {"title": "Build it", "index": "it", "command": ["build"], "started": 1.0, "server": 1}
    for born, state in ((1.0, State.DIED), (None, State.RUNNING)):
        import psutil

        own = psutil.Process().create_time() if born is None else born
        (folder / jobs.ABOUT).write_text(json.dumps({**about, "pid": os.getpid(), "born": own}))
        (folder / jobs.PROGRESS).write_text(
            '{"stage": "embedding", "done": 3, "total": 9, "seconds": 1}\n{"st'
        )
        (folder / jobs.RESULT).touch()
        job = jobs.latest(tmp_path)
        assert (job.state, job.stage, job.done, job.total) == (state, "embedding", 3, 9)
    (folder / jobs.RESULT).write_text('{"schema": 1, "count": 3}')
    (folder / jobs.ABOUT).write_text(json.dumps({**about, "pid": os.getpid(), "born": 1.0}))
    assert jobs.latest(tmp_path).state is State.DONE


def test_a_server_ends_its_own_job_alone(tmp_path):
    """A job that another server began goes on when this one ends."""
    job = jobs.start(tmp_path, "Remove it", "it", ["remove", "it", "--yes"])
    assert job.server == os.getppid()
    assert jobs.cancel_own(tmp_path) == ""
    assert not (job.folder / jobs.CANCELLED).exists()
    ended(tmp_path)
