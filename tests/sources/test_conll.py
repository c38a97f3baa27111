"""CoNLL files: sentences with the spans that their tags say, by seqeval's rule; bad sentences rejected."""

import gzip

import pytest
from seqeval.metrics.sequence_labeling import get_entities

from embedsearch.errors import SourceError
from embedsearch.records import LabelledSpan, Labels, Modality, Record
from embedsearch.sources.guess import guess
from tests.sources.reading import contents, read, rejected, source

NEWS = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
German JJ B-NP B-MISC

Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER
"""


@pytest.fixture
def file(tmp_path):
    """Write a CoNLL file and return its path."""

    def write(text, name="t.conll"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def tagged(tokens, tags):
    """Return the lines of a sentence, tabs between the columns."""
    return "".join(f"{token}\t{tag}\n" for token, tag in zip(tokens, tags, strict=True))


def test_a_sentence_is_a_text_with_spans_and_words(file):
    """Tokens are joined by spaces; first column token, last tag; -DOCSTART- is passed over."""
    first, second = read("conll", file(NEWS))
    words = ((0, 2), (3, 10), (11, 17))
    spans = (LabelledSpan(0, 2, "ORG"), LabelledSpan(11, 17, "MISC"))
    assert first == Record(first.id, Modality.TEXT, "EU rejects German", labels=Labels(spans, words))
    assert second.content == "Peter Blackburn"
    assert second.labels.spans == (LabelledSpan(0, 15, "PER"),)
    assert guess(str(file(NEWS)))[0] == "conll"


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.rstrip("\n"),
    lambda text: text + "\n\n\n",
    lambda text: text.replace(" ", "\t"),
    lambda text: "\ufeff" + text.replace("\n\n", "\n \t\n"),
    lambda text: text.replace("EU NNP", "# sent_id = 1\nEU NNP"),
    lambda text: gzip.compress(text.encode()),
])  # fmt: skip
def test_other_ways_to_write_it_mean_the_same(file, change):
    """CRLF, no blank line at the end or several, tabs, blanks in a blank line, comments, gzip."""
    assert read("conll", file(change(NEWS))) == read("conll", file(NEWS, "plain.conll"))


@pytest.mark.parametrize("tags", [
    "B-PER I-PER O B-LOC", "I-PER I-PER O I-LOC", "I-PER B-PER I-PER I-LOC", "B-PER B-PER I-LOC O",
    "S-PER B-LOC I-LOC E-LOC", "B-PER E-PER I-PER O", "O O O O", "I-A-B I-A-B O B-C", "S-PER I-PER I-PER O",
])  # fmt: skip
def test_spans_are_those_of_seqeval(file, tags):
    """BIO, IO, and mixtures give the entities that seqeval finds in the same tags."""
    (record,) = read("conll", file(tagged("abcd", tags.split())))
    want = [(2 * first, 2 * last + 1, label) for label, first, last in get_entities(tags.split())]
    assert [tuple(span) for span in record.labels.spans] == want


def test_tags_without_a_prefix_are_io(file):
    """A bare label holds as long as it is repeated; each token of a file of parts of speech has one."""
    (record,) = read("conll", file(tagged("abcd", ["NN", "NN", "O", "VB"])))
    assert [tuple(span) for span in record.labels.spans] == [(0, 3, "NN"), (6, 7, "VB")]
    assert [record.labels.of(*word) for word in record.labels.words] == ["NN", "NN", "O", "VB"]


def test_a_bad_line_costs_its_sentence(file):
    """Ragged columns, a missing tag or token, bytes that are no UTF-8: by the line, and the rest goes on."""
    text = b"a O\nb O\n\nc X O\n\nd\n\n\te\n\nf caf\xe9\n\ng\tO\n\nh B-PER"
    entries = read("conll", file(text))
    assert contents(entries) == ["a b", "g", "h"]
    reasons = rejected(entries)
    assert reasons.pop("t.conll:10").startswith("the line is not utf-8 text")
    assert reasons == {
        "t.conll:4": "the line has 3 columns; the first has 2",
        "t.conll:6": "the line has no tag after the token 'd'",
        "t.conll:8": "the line has an empty token or tag",
    }


def test_a_sentence_without_end_is_rejected(file, monkeypatch):
    """A file without blank lines is not held as one sentence."""
    monkeypatch.setattr("embedsearch.sources.conll.MOST_TOKENS", 5)
    entries = read("conll", file("a O\n" * 6 + "\nb O\n"))
    assert contents(entries) == ["b"]
    assert rejected(entries) == {"t.conll:1": "the sentence has over 5 tokens; put a blank line behind each"}


def test_a_file_without_a_sentence_is_refused(file):
    """An empty file, and columns for a file that has none, are errors in a sentence."""
    with pytest.raises(SourceError, match="holds no sentence; expected a token and its tag on each line"):
        source("conll", file("\n-DOCSTART- O\n"))
    with pytest.raises(SourceError, match="is a CoNLL file, which has no columns: leave out --text"):
        source("conll", file(NEWS), ("text",))
