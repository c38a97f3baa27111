"""Docstrings as prose: what a thing does, and whole sentences."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

LONGEST = 600  # characters of a description: some 130 tokens
SHORTEST_SENTENCE, LONGEST_SENTENCE = 6, 40  # words

# The heading of a section, or a field: the prose that says what a thing does ends here.
SECTION = re.compile(
    r"^(?:[^\n]+\n[-=~^*#\"]{3,}[ \t]*|[:@](?:param|return|rtype|type|raise|keyword)[^:\n]*:?|[ \t]*"
    r"(?:Args?|Arguments?|Param(?:eter)?s?|Other Parameters|Returns?|Yields|Receives|Inputs?|Outputs?|Raises|"
    r"Warns|Key(?:word)? ?[Aa]rg(?:ument)?s?|Attributes|Variables|Optional keyword arguments|Examples?|Usage|"
    r"Shape|Methods|See [Aa]lso|References|Definition|Synopsis|Notes?|Warnings?)\s*:{0,2}[ \t]*)$",
    re.MULTILINE,
)
PARAGRAPH_END = re.compile(r"\n[ \t]*\n")
# A bullet, or a name before what it means.
ENTRY = r"[-*+•] |:\w[^:\n]*: ?|[\w*`]+(?:, [\w*]+)*(?: ?\([^)\n]*\))? ?: "
ENTRY_START = re.compile(rf"\n(?=\s*(?:{ENTRY}))|(?<=:)\n")
NOT_TEXT = re.compile(r">>>|^(?:\.\. |\+[-=]{2}|\|.*\||={3,} +=|-{3,} +-)|\S[ \t]{3,}\S", re.MULTILINE)
CALL = re.compile(r"(?:\w+\.)*(\w+)(\((?:[^()]|\([^()]*\))*\))[ \t]*(?:(->|=>|--?|:)\s*)?(.*)")
ROLE = re.compile(r":(?:\w+:){1,2}`[~!.]?([^`<]*?)(?:\s*<[^`>]*>)?`")
MARKS = re.compile(r"``?([^`<]*)(?:\s*<[^`>]*>)?``?_{0,2}|(?<![\w*])\*{1,2}([^\s*][^*\n]*?)\*{1,2}(?![\w*])")
NAME_OF_ENTRY = re.compile(rf"^(?:[\w*, ]+ : .*\n|{ENTRY}|\(?\w{{1,2}}[.)] +|\[\d+\] +)")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(]?[A-Z])")
ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|Dr|Mr|Prof|Fig|Eq|Sec|No|approx|resp|al)|\b[A-Z])\.$")
NOT_PROSE = re.compile(r"[=<>{}|\\#%@^~$`*_/]|->|\(\)|::|\w\.\w+\.\w|\w\(|https?:|\[|\]")
WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")


def plain(paragraph: str) -> str:
    """Return a paragraph on one line, without the marks of reStructuredText."""
    text = MARKS.sub(lambda found: found[1] or found[2] or "", ROLE.sub(r"\1", paragraph))
    return " ".join(text.split()).removesuffix("::").replace("::", ":")


def without_signature(doc: str, name: str) -> tuple[str, str | None]:
    """Take the signature off the beginning of a docstring written for a C function.

    Returns:
        The docstring without it, and the parameters in parentheses, or None where there were none.
    """
    lines = inspect.cleandoc(doc).split("\n")
    signature: str | None = None
    while lines and (found := CALL.match(lines[0])) and found[1] == name:
        signature = signature or found[2]
        # what is returned may stand before the words: "-> v, remove the key and return the value."
        words = (
            re.sub(r"^[^.,]*?(?:\.\s+|,\s+|--?\s+)(?=[A-Za-z])", "", found[4])
            if found[3] == "->"
            else found[4]
        )
        if len(words.split()) > 3 and not words.endswith((" object", " instance")):
            lines[0] = words[:1].upper() + words[1:]
            break
        if len(lines) == 1:
            break
        del lines[0]
        while lines and not lines[0].strip(" -"):
            del lines[0]
    return inspect.cleandoc("\n".join(lines)), signature


def description(doc: str) -> str:
    """Return what stands before the first section, as prose of at most `LONGEST` characters.

    It ends at a sentence or a word. Where nothing stands before it, the text that follows is taken.
    """
    doc = inspect.cleandoc(doc)
    section = SECTION.search(doc)
    leading = doc[: section.start()] if section and doc[: section.start()].strip() else doc
    paragraphs = PARAGRAPH_END.split(leading)
    # what is indented is no prose
    prose = [each for each in paragraphs if each[:1].strip() and not NOT_TEXT.search(each)] or paragraphs[:1]
    text = " ".join(map(plain, prose))
    if len(text) <= LONGEST:
        return text
    end = max(text.rfind(mark, 0, LONGEST) for mark in (". ", "; "))
    return text[: end + 1] if end > LONGEST // 3 else text[:LONGEST].rpartition(" ")[0] + " ..."


def sentences(doc: str) -> Iterator[str]:
    """Yield the full sentences of a docstring: 6 to 40 words, no code, nothing cut off."""
    for paragraph in PARAGRAPH_END.split(ENTRY_START.sub("\n\n", SECTION.sub("\n\n", inspect.cleandoc(doc)))):
        if NOT_TEXT.search(paragraph):
            continue
        held = ""
        for piece in SENTENCE_END.split(plain(NAME_OF_ENTRY.sub("", paragraph.strip()))):
            held = f"{held} {piece}".strip()
            if ABBREVIATION.search(held):
                continue
            if is_prose(held):
                yield held
            held = ""


def is_prose(sentence: str) -> bool:
    """Whether a piece of text is a sentence that a person would read aloud."""
    words = WORD.findall(sentence)
    return (
        SHORTEST_SENTENCE <= len(sentence.split()) <= LONGEST_SENTENCE
        and len(words) >= SHORTEST_SENTENCE
        and sentence[0].isupper()
        and sentence[-1] in ".!?"
        and not NOT_PROSE.search(sentence)
        and sentence.count("(") == sentence.count(")")
        and sentence.count('"') % 2 == 0
        and sum(word[0].islower() for word in words) * 2 > len(words)
    )
