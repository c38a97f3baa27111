"""Files of word2vec, GloVe and fastText."""

import gzip
import struct

import numpy as np
import pytest

from embedsearch.errors import SourceError
from embedsearch.records import Record, Rejected
from embedsearch.sources.guess import guess
from tests.sources.reading import read, source

WORDS = {"king": [1, 0.5, -2e-3, 4, 5, 6], "New York": [2, 2, 2, 2, 2, 2], "näher": [-1, 0, 0, 0, 0, 3]}
FLOATS = {word: np.array(row, "<f4").tobytes() for word, row in WORDS.items()}
JOINED = {word.replace(" ", "_"): floats for word, floats in FLOATS.items()}  # word2vec writes no blanks
LINES = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in WORDS.items())


def held(entries):
    """Return the records by word."""
    return {entry.id: entry.content for entry in entries if isinstance(entry, Record)}


def reasons(entries):
    """Return why entries were rejected."""
    return [entry.reason for entry in entries if isinstance(entry, Rejected)]


def binary(words, newline=b"", count=None):
    """Return a binary file of word2vec."""
    rows = b"".join(word.encode() + b" " + floats + newline for word, floats in words.items())
    return f"{count or len(words)} 6\n".encode() + rows


@pytest.mark.parametrize("head", ["", "3 6\n"])
@pytest.mark.parametrize("pack", [False, True])
def test_text_files_give_a_word_each(head, pack, tmp_path):
    """With the first line of word2vec or without, packed or not; a word may hold blanks."""
    path = tmp_path / f"w.txt{'.gz' * pack}"
    data = (head + LINES).encode()
    path.write_bytes(gzip.compress(data) if pack else data)
    assert guess(str(path))[0] == "word-vectors"
    assert held(read("word-vectors", path)) == FLOATS


def test_a_blank_at_the_end_of_a_line_is_none(tmp_path):
    """word2vec ends its lines with a blank; tabs may stand for blanks."""
    path = tmp_path / "w.vec"
    path.write_text("2 3\na 1 2 3 \nb\t4\t5\t6\n")
    assert held(read("word-vectors", path)) == {
        "a": np.array([1, 2, 3], "<f4").tobytes(), "b": np.array([4, 5, 6], "<f4").tobytes(),
    }  # fmt: skip


@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_binary_files_give_a_word_each(newline, tmp_path):
    """As word2vec writes them, and with a line end behind each word."""
    path = tmp_path / "w.bin"
    path.write_bytes(binary(JOINED, newline))
    assert guess(str(path))[0] == "word-vectors"
    assert held(read("word-vectors", path)) == JOINED
    assert source("word-vectors", path).count() == 3


def test_lines_that_can_not_be_used_are_rejected(tmp_path):
    """Too few and too many numbers, words for numbers, NaN, zeros and a word again: each with its reason."""
    path = tmp_path / "w.txt"
    path.write_text("a 1 2 3\nb 1 2\nc 1 2 3 4\nd 1 x 3\ne nan 2 3\nf 0 0 0\na 4 5 6\n\ng 7 8 9\n")
    entries = read("word-vectors", path)
    assert list(held(entries)) == ["a", "g"]
    assert reasons(entries) == [
        "the line holds 2 numbers; 3 were expected",
        "the line holds 4 numbers; 3 were expected",
        "the line holds something that is not a number",
        "the vector holds a number that is not finite in float32",
        "the vector is all zeros: it has no direction",
        "the word 'a' was there before",
    ]


def test_a_file_that_is_cut_off_says_so(tmp_path):
    """Fewer words than the first line states: the words that are there stay, and the rest is listed."""
    path = tmp_path / "w.bin"
    path.write_bytes(binary(JOINED, count=9)[:-3])
    entries = read("word-vectors", path)
    assert list(held(entries)) == ["king", "New_York"]
    assert reasons(entries) == ["the file is cut off: it states 9 words, and 2 are there"]
    (tmp_path / "w.vec").write_text("9 6\n" + LINES)
    assert reasons(read("word-vectors", tmp_path / "w.vec")) == [
        "the file is cut off: it states 9 words, and 3 are there"
    ]


def fasttext(words, rows, buckets, ngrams=(3, 4), quantised=False):
    """Return a model of fastText, version 12: arguments, dictionary, and the rows of words and n-grams."""
    data = struct.pack("<ii", 793712314, 12)
    data += struct.pack("<12id", rows.shape[1], 5, 1, 1, 5, 1, 1, 1, buckets, *ngrams, 100, 0.1)
    data += struct.pack("<iiiqq", len(words) + 1, len(words), 1, 9, -1)
    for word in words:
        data += word.encode() + b"\0" + struct.pack("<qb", 7, 0)
    data += b"__label__x\0" + struct.pack("<qb", 7, 1) + struct.pack("<?qq", quantised, *rows.shape)
    return data + rows.astype("<f4").tobytes()


def test_a_model_of_fasttext_gives_its_words(tmp_path):
    """A word is the mean of its row and those of its n-grams; the end of a sentence has none; labels go."""
    words, rows = ["</s>", "ab", "né"], np.random.default_rng(0).normal(size=(3 + 50, 4)).astype(np.float32)
    # FNV-1a of the n-grams of 3 and 4 characters of "<ab>" and "<né>", worked out by hand with int8 bytes

    def row(ngram):
        value = 2166136261
        for byte in np.frombuffer(ngram.encode(), np.int8):
            value = ((value ^ (int(byte) % 2**32)) * 16777619) % 2**32
        return 3 + value % 50

    wanted = {
        "</s>": rows[0],
        "ab": rows[[1, row("<ab"), row("<ab>"), row("ab>")]].mean(0),
        "né": rows[[2, row("<né"), row("<né>"), row("né>")]].mean(0),
    }
    (tmp_path / "m.bin").write_bytes(fasttext(words, rows, 50))
    found = {
        word: np.frombuffer(each, "<f4")
        for word, each in held(read("word-vectors", tmp_path / "m.bin")).items()
    }
    assert list(found) == words
    for word, vector in wanted.items():
        assert found[word] == pytest.approx(vector, abs=1e-6)
    (tmp_path / "q.bin").write_bytes(fasttext(words, rows, 50, quantised=True))
    with pytest.raises(SourceError, match="is a quantised model"):
        source("word-vectors", tmp_path / "q.bin")
    (tmp_path / "cut.bin").write_bytes(fasttext(words, rows, 50)[:300])
    with pytest.raises(SourceError, match="is cut off"):
        source("word-vectors", tmp_path / "cut.bin")


def test_other_files_are_refused(tmp_path):
    """A model of fastText and a file of something else are named in words; a text stays a text."""
    (tmp_path / "m.bin").write_bytes((793712314).to_bytes(4, "little") + bytes(100))
    with pytest.raises(SourceError, match="version 0 of fastText's format; expected 11 or 12"):
        source("word-vectors", tmp_path / "m.bin")
    (tmp_path / "x.vec").write_text("this is a text\n")
    with pytest.raises(SourceError, match="is no file of word vectors"):
        source("word-vectors", tmp_path / "x.vec")
    (tmp_path / "t.txt").write_text("page 1 2 3\nIt was 5 o'clock\n")
    assert guess(str(tmp_path / "t.txt"))[0] == "lines"
