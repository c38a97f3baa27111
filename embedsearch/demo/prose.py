"""Docstrings as prose: what a thing does, and whole sentences."""

import re
from collections.abc import Iterator

LONGEST = 600  # characters of a description: some 130 tokens
WORDS = range(6, 41)  # in a sentence
# An underlined title, a field as `:param x:`, or `Args:` alone on its line.
HEADING = re.compile(
    r"^(?:.+\n[-=~^*#\"]{3,}|[:@]\w+[^:`\n]*:(?: .*)?|[ \t]*[A-Z]\w*(?: \w+){,2}::?)[ \t]*$", re.MULTILINE
)
NOT_TEXT = re.compile(r">>>|^(?:\.\. |[+|=-]{2}|\|)|\S[ \t]{3,}\S", re.MULTILINE)  # code, directives, tables
# A call and what it returns, as docstrings of C functions have them: "D.pop(k[,d]) -> v, remove the key."
RESULT = r"[-=]+> *(?:(?:(?:\([^)\n]*\)|[^\s,]+) ?){1,4}?(?:[,.] |-- ?|$))?"
CALL = re.compile(rf"^[\w.]*\w\((?:[^()]|\([^()]*\))*\) *(?:{RESULT}|--? |: ?|$)", re.MULTILINE)
# Where an entry begins: a directive, a bullet, a name before its type or before what it means.
ENTRY = re.compile(
    r"^[ \t]*(?:\.\. \w+::|[-*+•] |[\w*, ]+ : .*$|[\w*`]+(?:, [\w*`]+)*(?: ?\([^)\n]*\))?: )", re.MULTILINE
)
ROLE = re.compile(r":(?:\w+:){1,2}`[~!.]?([^`<]*?)(?:\s*<[^`>]*>)?`")
MARKS = re.compile(r"``?([^`<]*)(?:\s*<[^`>]*>)?``?_{0,2}|(?<![\w*])\*{1,2}([^\s*][^*\n]*?)\*{1,2}(?![\w*])")
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.|i\.e\.|etc\.)(?<!\b[A-Z]\.)\s+(?=[\"'(]?[A-Z])")
# Words, marks and parentheses: no code, no formula, no path.
SENTENCE = re.compile(
    r"[A-Z](?:[\w ,;:'\"!?-](?!_| : )|e\.g\.|i\.e\.|\.(?!\w)|(?<= )\([\w ,;:.'\"-]+\))+[.!?]"
)


def _paragraphs(text: str) -> list[str]:
    """Return the paragraphs of prose, each on one line, without the marks of reStructuredText."""
    paragraphs = re.split(r"\n(?:[ \t]*\n)+", CALL.sub("", text).strip("\n"))
    prose = [each for each in paragraphs if each[:1].strip() and not NOT_TEXT.search(each)]  # not indented
    plain = [MARKS.sub(lambda found: found[1] or found[2] or "", ROLE.sub(r"\1", each)) for each in prose]
    return [" ".join(each.split()).removesuffix("::").replace("::", ":") for each in plain]


def description(doc: str) -> str:
    """Return what stands before the first heading of a docstring, as prose of at most `LONGEST` characters.

    It ends at a sentence or a word. Where nothing stands before it, the text that follows is taken.
    """
    leading = HEADING.split(doc, maxsplit=1)[0]
    text = " ".join(_paragraphs(leading) or _paragraphs(doc)) or " ".join(doc.split())
    if len(text) <= LONGEST:
        return text
    end = text.rfind(". ", 0, LONGEST) + 1
    return text[:end] if end > LONGEST // 3 else text[:LONGEST].rpartition(" ")[0] + " ..."


def sentences(doc: str) -> Iterator[str]:
    """Yield the full sentences of a docstring: 6 to 40 words, no code, nothing cut off."""
    entries = ENTRY.sub("\n", HEADING.sub("\n", doc))
    for paragraph in _paragraphs(re.sub(r"^[ \t]+", "", entries, flags=re.MULTILINE)):
        for sentence in SENTENCE_END.split(paragraph):
            if len(sentence.split()) in WORDS and SENTENCE.fullmatch(sentence):
                yield sentence
