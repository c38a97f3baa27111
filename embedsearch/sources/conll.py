"""CoNLL files: a token and its tag a line, a blank line behind each sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import OUTSIDE, Entries, LabelledSpan, Labels, Modality, Record, Rejected, Span
from embedsearch.sources.lines import check_encoding, check_text, read_lines
from embedsearch.sources.paths import existing_file, printable, refuse_columns
from embedsearch.sources.table import Ids, NothingToReport

MOST_TOKENS = 10_000  # of a sentence
DOCUMENT = "-DOCSTART-"
_BLANKS = re.compile("[ \t]+")  # not those of Unicode, which are tokens of some files
# what files put above a sentence: "# sent_id = 4" or "# id 4c1f domain=en"
_COMMENT = re.compile(r"#\s*(\w+\s*=|id\s)")
_TAG = re.compile("([BIESLUM])-(.+)")


@dataclass(slots=True)
class _Sentence:
    """The lines of a sentence.

    Attributes:
        line: the number of the first.
        tokens: first column.
        tags: last column.
        problem: why it can't be used, and the number of the line; empty where it can.
    """

    line: int = 0
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    problem: str = ""


class ConllFile(NothingToReport):
    """A file with a token a line: the token in the first column, its tag in the last, blanks or tabs between.

    Each sentence is a text: its tokens with a space between. Its labelled spans are what the tags say, of the
    kind BIO (`B-PER`, `I-PER`, `O`) or IO (`I-PER`, or `PER` alone). Lines of `-DOCSTART-` are passed over.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        refuse_columns(recipe, "a CoNLL file")
        self._path = existing_file(recipe.location, "a CoNLL file")
        check_text(self._path, "a CoNLL file")
        self._encoding = recipe.encoding
        check_encoding(recipe.encoding)
        if next(self._sentences(), None) is None:
            raise SourceError(f"{self._path} holds no sentence; expected a token and its tag on each line.")

    def modality(self) -> Modality:
        """Sentences are texts."""
        return Modality.TEXT

    def count(self) -> int | None:
        """Not known without reading the file."""
        return None

    def __iter__(self) -> Entries:
        """Yield the sentences, in order; one with a line that can't be used is rejected."""
        ids = Ids()
        for each in self._sentences():
            if each.problem:
                yield Rejected(f"{printable(self._path.name)}:{each.line}", each.problem)
                continue
            text = " ".join(each.tokens)
            words = _places(each.tokens)
            labels = Labels(tuple(_spans(each.tags, words)), words)
            yield Record(ids.of_content(text), Modality.TEXT, text, labels=labels)

    def _sentences(self) -> Iterator[_Sentence]:
        """Yield the sentences with what is wrong with them; a file may end without a blank line."""
        width = 0  # columns of the file's first token
        open_ = _Sentence()
        for line in read_lines(self._path, self._encoding):
            text = line.text.rstrip(" \t\r\n")
            if not text and not line.problem:
                if open_.line:
                    yield open_
                open_ = _Sentence()
                continue
            cells = (
                [cell.strip() for cell in text.split("\t")] if "\t" in text else _BLANKS.split(text.lstrip())
            )
            if not line.problem and (cells[0] == DOCUMENT or (not open_.line and _COMMENT.match(text))):
                continue
            width = width or len(cells)
            open_.line = open_.line or line.number
            if not open_.problem and (problem := line.problem or _problem(cells, width)):
                open_.line, open_.problem = line.number, f"the line {problem}"
            if not open_.problem and len(open_.tokens) >= MOST_TOKENS:
                open_.problem = f"the sentence has over {MOST_TOKENS:,} tokens; put a blank line behind each"
            if not open_.problem:
                open_.tokens.append(cells[0])
                open_.tags.append(cells[-1])
        if open_.line:
            yield open_


def _problem(cells: Sequence[str], width: int) -> str:
    """Return why a line can't be used, as the end of a sentence; or ""."""
    if len(cells) < 2:
        return f"has no tag after the token {cells[0]!r:.40}"
    if len(cells) != width:
        return f"has {len(cells)} columns; the first has {width}"
    return "" if cells[0] and cells[-1] else "has an empty token or tag"


def _places(tokens: Sequence[str]) -> tuple[Span, ...]:
    """Return where tokens stand in their sentence, a space between."""
    spans, at = [], 0
    for token in tokens:
        spans.append((at, at + len(token)))
        at += len(token) + 1
    return tuple(spans)


def _spans(tags: Sequence[str], words: Sequence[Span]) -> Iterator[LabelledSpan]:
    """Yield what the tags of a sentence's words label, by the rule of seqeval.

    A span begins at B, S or U, behind E, S, L or U, and where the label changes.
    """
    start, label, before = 0, "", OUTSIDE
    for at, tag in enumerate((*tags, OUTSIDE)):
        prefix, kind = _parts(tag)
        begins = kind != label or prefix in "BSU" or before in "ESLU"
        if label and begins:
            yield LabelledSpan(words[start][0], words[at - 1][1], label)
        if begins:
            start = at
        label, before = kind, prefix


def _parts(tag: str) -> tuple[str, str]:
    """Return the prefix of a tag and its label; one without a prefix is as with I, and O has no label."""
    found = _TAG.fullmatch(tag)
    if found:
        return found[1], found[2]
    return (OUTSIDE, "") if tag == OUTSIDE else ("I", tag)
