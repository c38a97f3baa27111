"""What the page says of jobs, and to whom."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from embedsearch.ui import jobs
from embedsearch.ui.widgets import job_panel

REASON = "There is no folder /home/anna/pictures."


def page(folder):
    """The page before there is any index."""
    from pathlib import Path

    from embedsearch.ui.widgets import first_start

    first_start.show(Path(folder))


@pytest.fixture
def failed(tmp_path):
    """A folder of indexes, in which a job failed."""
    folder = tmp_path / jobs.FOLDER / "20260101-000000-000000"
    folder.mkdir(parents=True)
    about = {"title": "Build it", "index": "it", "command": ["build"], "started": 0.0}
    about |= {"pid": 2**22 + 1, "born": 0.0, "server": 1}  # beyond the highest number of a process
    (folder / jobs.ABOUT).write_text(json.dumps(about))
    (folder / jobs.PROGRESS).write_text(f"Error: {REASON}\n")
    (folder / jobs.RESULT).write_text("")
    return tmp_path


@pytest.mark.parametrize("allowed", [True, False])
def test_visitors_from_elsewhere_see_no_path_of_this_machine(failed, monkeypatch, allowed):
    """The folder of indexes and the reason of a failure are for those who may build."""
    monkeypatch.setattr(job_panel, "may_build", lambda: allowed)
    monkeypatch.setattr("embedsearch.ui.navigation.link", lambda *_: None)  # its pages are not registered
    shown = AppTest.from_function(page, args=(str(failed),)).run()
    assert not shown.exception
    said = " ".join(each.proto.body for each in shown.get("html"))
    assert "Did not work" in said
    assert (REASON in said) is (str(failed) in said) is allowed
    assert (job_panel.FAILED in said) is not allowed
