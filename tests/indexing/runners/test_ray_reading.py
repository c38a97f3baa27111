"""What a node of a cluster has read, and takes with it when it dies; without a cluster."""

from types import SimpleNamespace

import pytest

from embedsearch.errors import ServerError
from embedsearch.indexing.read import read_contents
from embedsearch.indexing.runners.ray import _Reading
from embedsearch.records import Modality, Record, Unit


class RayError(Exception):
    """As of Ray: a node has died."""


class RayTaskError(RayError):
    """As of Ray: a task failed."""


class Ray:
    """A cluster whose node dies after it has said what it read."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def remote(self, _function):
        """Return a task that reads here."""

        def begin(records, unit):
            found = read_contents(records, unit)
            return found, "contents"

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=begin))

    def get(self, reference):
        """Return what was read; its contents are lost."""
        if reference == "contents":
            raise RayError
        return reference


def begun(path):
    """Return what is read of one text in a file, on that cluster."""
    cluster = SimpleNamespace(connect=lambda _address: Ray(), ahead=1)
    reading = _Reading(SimpleNamespace(cluster=cluster, address=""))
    return reading.begin({0: Record("a", Modality.TEXT, path)}, Unit.TEXT)()


def test_contents_that_are_lost_are_read_again(tmp_path):
    """The source still has them: the driver reads them itself."""
    (tmp_path / "a.txt").write_text("one text")
    assert begun(tmp_path / "a.txt").contents[0] == b"one text"


def test_contents_that_are_lost_and_changed_end_the_run(tmp_path):
    """Vectors of another text would stand for what was planned: the run stops, and can be resumed."""
    (tmp_path / "a.txt").write_text("one text")
    found = begun(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_text("another text")
    with pytest.raises(ServerError, match="Run the command again: it resumes"):
        found.contents[0]
