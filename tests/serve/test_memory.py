import os

from embedsearch.serve.memory import MEMORY, keep_level


def test_what_keeps_memory_level_is_set_unless_somebody_has(monkeypatch):
    """A server's process has the bounds on heaps and on oneDNN's code; one that was set stays."""
    for name in MEMORY:
        monkeypatch.setenv(name, "kept")
        monkeypatch.delenv(name)  # both are undone after the test
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "64")
    keep_level()
    assert {name: os.environ[name] for name in MEMORY} == MEMORY | {"LRU_CACHE_CAPACITY": "64"}
    monkeypatch.setenv("MALLOC_ARENA_MAX", "")
    keep_level()  # what is no number is left as it is
