import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from embedsearch import watch as watching


@pytest.fixture
def table(run, sources, tmp_path):
    """A copy of the table of questions, built as the index faq."""
    path = tmp_path / "questions.csv"
    shutil.copyfile(sources / "questions.csv", path)
    assert run("build", path, "--text", "question", "--id", "question", "--name", "faq").exit_code == 0
    return path


def add(path, question):
    """Append a row."""
    with path.open("a", encoding="utf-8") as file:
        file.write(f'"{question}",extra,1\n')


def test_a_rebuild_tells_what_changed(run, table):
    """The counts of changes, the share of kept neighbours, and no word of them where nothing changed."""
    assert run("rebuild", "faq").stdout == "faq: nothing changed, 6 texts\n"
    still = run.json("rebuild", "faq")
    dry = run.json("rebuild", "faq", "--dry-run")["changes"]
    assert dry["examples"] == {"removed": []}
    assert still["changes"] == {**dry, "neighbours_kept": None, "examples": {}}
    add(table, "Can I pay with a cheque?")
    dry = run("rebuild", "faq", "--dry-run")
    counts = "faq: 1 added, 0 changed, 0 removed, 6 unchanged, 0 rejected"
    assert dry.stdout.startswith(f"{counts}; 1 to embed\n")
    assert "added     Can I pay with a cheque?" in dry.stdout
    done = run("rebuild", "faq")
    assert done.stdout.startswith(f"{counts}\n")
    assert "6 items kept " in done.stdout
    full = run.json("rebuild", "faq", "--dry-run", "--full")
    assert full["changes"]["to_embed"] == 7
    assert run("rebuild", "faq", "--dry-run", "--backend", "hnsw").exit_code == 2
    told = run.json("rebuild", "faq", "--dry-run")
    assert (told["dry_run"], told["changes"]["unchanged"], told["changes"]["to_embed"]) == (True, 7, 0)


def test_nothing_changed_loads_no_torch(run, table):
    """A rebuild with nothing to embed imports neither torch nor transformers, in a process of its own."""
    assert table.is_file()
    code = (
        "import sys; from embedsearch.index import rebuild\n"
        "rebuild('faq', indexes=sys.argv[1])\n"
        "print(sorted({'torch', 'transformers', 'streamlit'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(run.indexes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_another_kind_of_index_needs_no_embedding(run, table):
    """--backend, --recall and --keep on a rebuild hold from now on, and are written into the recipe."""
    assert table.is_file()
    built = run.json("rebuild", "faq", "--backend", "hnsw", "--recall", "0.9", "--keep", "3")
    assert (built["backend"], built["published"]) == ("hnsw", True)
    recipe = run.json("info", "faq")["recipe"]["index"]
    assert (recipe["backend"], recipe["recall"], recipe["keep"]) == ("hnsw", 0.9, 3)
    assert run.json("rebuild", "faq")["published"] is False
    refused = run("rebuild", "faq", "--backend", "exact", "--memory", "1kB")
    assert refused.exit_code == 1
    assert "--memory allows 1kB" in refused.stderr
    assert "is not an amount of memory" in run("rebuild", "faq", "--memory", "much").stderr


def test_rollback_gc_and_verify(run, table):
    """Back to the build before, the other one deleted, all files whole; a flipped bit is exit code 1."""
    first = run.json("info", "faq")["build"]
    add(table, "Can I pay with a cheque?")
    second = run.json("rebuild", "faq")["build"]
    assert run.json("rollback", "faq")["build"] == first
    assert run.json("info", "faq")["count"] == 6
    assert run.json("rollback", "faq", "--to", second)["build"] == second
    verified = run.json("verify", "faq")["builds"]
    assert verified == [{"build": first, "error": ""}, {"build": second, "error": ""}]
    freed = run.json("gc", "faq", "--keep", "1")
    assert (freed["removed"], freed["bytes"] > 0) == ([first], True)
    assert "no undamaged build before" in run("rollback", "faq").stderr
    path = run.indexes / "faq" / "builds" / second / "vectors.npy"
    path.write_bytes(path.read_bytes()[:-1])
    result = run("verify", "faq")
    assert result.exit_code == 1
    assert "vectors.npy has" in result.stdout


def test_eval_prints_a_table_and_an_object(run, table, tmp_path):
    """Recall, latency and size always; filters, labels, qrels and pairs where asked for."""
    assert table.is_file()
    result = run("eval", "faq", "--filters", "--labels", "topic", "-k", "2")
    assert result.exit_code == 0, result.stderr
    for said in ("recall@2     1.0000", "latency      p50 ", "50.0% kept", "labels       field topic, P@1 "):
        assert said in result.stdout
    (tmp_path / "queries.tsv").write_text("a\tmoney back please\nb\tlost my password\n")
    (tmp_path / "qrels.tsv").write_text("a\tHow do I get my money back?\t1\nb\tI forgot my password.\t1\n")
    (tmp_path / "pairs.csv").write_text(
        "text1,text2,score\na cat,a kitten,5\na cat,a dog,3\na cat,the law of thermodynamics,0\n"
    )
    told = run.json(
        "eval", "faq", "--queries", tmp_path / "queries.tsv", "--qrels", tmp_path / "qrels.tsv",
        "--pairs", tmp_path / "pairs.csv",
    )  # fmt: skip
    assert told["recall"] == 1
    assert told["judged"] == {"queries": 2, "nDCG@10": 1.0, "MRR": 1.0, "recall@100": 1.0}
    assert told["pairs"] == {"pairs": 3, "spearman": 1.0}
    missing = run("eval", "faq", "--pairs", tmp_path / "none.csv")
    assert (missing.exit_code, missing.stderr.startswith("Error: There is no file ")) == (1, True)


def wait_for(lines, count, seconds=60):
    """Wait until the file `lines` has so many lines, and return them."""
    end = time.monotonic() + seconds
    while len(found := lines.read_text().splitlines()) < count:
        assert time.monotonic() < end, f"{count} lines were expected: {found}"
        time.sleep(0.1)
    return found


def test_watch_follows_a_file(run, table, tmp_path):
    """Each change of the source, by appending or by replacing the file, becomes a build within seconds."""
    out, errors = tmp_path / "out", tmp_path / "errors"
    environment = {**os.environ, "EMBEDSEARCH_INDEXES": str(run.indexes)}
    command = [sys.executable, "-m", "embedsearch", "watch", "faq"]
    # a shell ignores Ctrl-C for what it starts in the background, and its children inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with (
        out.open("w") as told,
        errors.open("w") as said,
        subprocess.Popen(command, stdout=told, stderr=said, env=environment) as watching,
    ):
        try:
            while "comparing" not in errors.read_text():
                assert watching.poll() is None, errors.read_text()
                time.sleep(0.1)
            add(table, "Can I pay with a cheque?")
            assert "7 texts (1 added" in wait_for(out, 1)[0]
            other = tmp_path / "other.csv"
            lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
            other.write_text("".join(lines[:-1]), encoding="utf-8")
            other.replace(table)
            assert "6 texts (0 added, 0 changed, 1 removed" in wait_for(out, 2)[1]
        finally:
            watching.send_signal(signal.SIGINT)
            watching.wait(30)
    assert watching.returncode == 130
    assert run.json("info", "faq")["count"] == 6


def test_watch_follows_a_folder_that_is_made_anew(run, tmp_path):
    """A folder that was deleted and made again is watched again, and becomes a build."""
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("A cat sleeps.", encoding="utf-8")
    assert run("build", texts, "--name", "notes").exit_code == 0
    stop, seen = threading.Event(), []

    def follow():
        for searcher, _ in watching.watch("notes", indexes=run.indexes, stop=stop):
            seen.append(len(searcher))

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        until(lambda: seen == [1])
        shutil.rmtree(texts)
        texts.mkdir()
        for name, text in (("b", "A cat sleeps."), ("c", "The letter c.")):  # the first is not gone
            (texts / f"{name}.txt").write_text(text, encoding="utf-8")
        until(lambda: seen[-1] == 2)
        (texts / "d.txt").write_text("One more.", encoding="utf-8")
        until(lambda: seen[-1] == 3)
    finally:
        stop.set()
        thread.join(30)


def test_watch_follows_the_files_beside_vectors(run, tmp_path):
    """A change of the fields of a .npy, in another folder, becomes a build."""
    (tmp_path / "beside").mkdir()
    np.save(tmp_path / "v.npy", np.eye(3))
    fields = tmp_path / "beside" / "f.csv"
    fields.write_text("id,size\na,1\nb,2\nc,3\n")
    built = run("build", tmp_path / "v.npy", "--fields", fields, "--id", "id", "--name", "eye")
    assert built.exit_code == 0, built.stderr
    stop, seen = threading.Event(), []

    def follow():
        for searcher, _ in watching.watch("eye", indexes=run.indexes, stop=stop):
            seen.append(searcher.get("b").fields["size"])

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        until(lambda: seen == [2])
        fields.write_text("id,size\na,1\nb,7\nc,3\n")
        until(lambda: seen[-1] == 7)
    finally:
        stop.set()
        thread.join(30)


def until(so, seconds=60):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.usefixtures("table")
def test_a_full_disk_leaves_gc_to_free_it(run, monkeypatch):
    """Where not even the lock's holder can be noted gc still deletes; a full disk is told with what helps."""
    write = Path.write_text

    def full(path, *given, **options):
        if path.name == ".lock-holder":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, *given, **options)

    monkeypatch.setattr(Path, "write_text", full)
    assert run("gc", "faq").exit_code == 0

    def refused(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("embedsearch.store.versions.roll_back", refused)
    told = run("rollback", "faq")
    assert told.exit_code == 1
    assert "gc NAME --unfinished" in told.stderr


def test_what_cannot_be_watched_is_told(run, table):
    """A source that is gone is an error with the command that serves instead."""
    table.unlink()
    result = run("watch", "faq")
    assert result.exit_code == 1
    assert "can be watched" in result.stderr
    assert "Traceback" not in result.stderr


def test_gc_clears_the_cache(run, table, tmp_path, monkeypatch):
    """`gc --cache` needs no index, and `gc` needs one of both."""
    assert table.is_file()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache" / "embedsearch").mkdir(parents=True)
    (tmp_path / "cache" / "embedsearch" / "x").write_bytes(b"123")
    assert run("gc").exit_code == 2
    told = run.json("gc", "--cache")
    assert (told["index"], told["cache_bytes"]) == (None, 3)
    assert run("gc", "faq", "--cache").stdout.splitlines()[1].endswith("cache/embedsearch: 0.0 MB freed")


def test_a_removal_needs_permission(run, table):
    """A table that lost most rows: rebuild and build stop, --dry-run says so, --allow-removal goes on."""
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text("".join(lines[:3]), encoding="utf-8")
    again = ("build", table, "--text", "question", "--id", "question", "--name", "faq")
    for arguments in (("rebuild", "faq"), ("rebuild", "faq", "--full"), again):
        stopped = run(*arguments)
        assert stopped.exit_code == 1
        assert "4 of the 6 records of faq are gone" in stopped.stderr
        assert "--allow-removal" in stopped.stderr
    assert (
        "Unless they were only renamed, a rebuild needs --allow-removal"
        in run("rebuild", "faq", "--dry-run").stdout
    )
    assert run.json("rebuild", "faq", "--allow-removal")["count"] == 2


def test_what_is_passed_over_is_reported(run, tmp_path):
    """The build, info and JSON name the kinds of files that are not read, and what is excluded."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in ("a.txt", "b.txt", "draft.txt", "x.blend", "y.blend", "z.exe"):
        (folder / name).write_text(f"a note of {name}", encoding="utf-8")
    built = run("build", folder, "--name", "notes", "--exclude", "draft*")
    line = "passed over, as files of other kinds: 2 .blend, 1 --exclude draft*, 1 .exe"
    assert line in built.stdout
    assert "passed over  2 .blend, 1 --exclude draft*, 1 .exe" in run("info", "notes").stdout
    kinds = {".blend": 2, ".exe": 1, "--exclude draft*": 1}
    assert run.json("info", "notes")["report"]["passed_over"] == kinds
    assert run("rebuild", "notes").stdout == "notes: nothing changed, 2 texts\n"
