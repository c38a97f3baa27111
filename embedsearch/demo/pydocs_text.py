"""Docstrings as prose: the paragraph that says what a thing does, and whole sentences."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from enum import Enum

LONGEST = 600  # characters of a docstring that are embedded: some 130 tokens
SHORTEST_SENTENCE, LONGEST_SENTENCE = 6, 40  # words

LISTS = (
    r"Args?|Arguments?|Param(?:eter)?s?|Other Parameters|Returns?|Yields|Receives|Inputs?|Outputs?|"
    r"Key(?:word)? ?[Aa]rg(?:ument)?s?|Attributes|Variables|Optional keyword arguments"
)
CODE = r"Raises|Warns|Examples?|Usage|Shape|Methods|See [Aa]lso|References|Definition|Synopsis"
LIST_SECTION = re.compile(rf"(?:{LISTS})\s*:{{0,2}}\s*$")
CODE_SECTION = re.compile(rf"(?:{CODE})\s*:{{0,2}}\s*$")
SECTION = re.compile(rf"(?:{LISTS}|{CODE}|Notes?|Warnings?)\s*:{{0,2}}\s*$")
BLOCK_END = re.compile(r"\n[ \t]*\n")
FIELD = re.compile(r":\w[^:\n]*:(?:\s|$)|@(?:param|return|raise)\w*\s")
FIELD_MARK = re.compile(r":(\w[^:]*):(?=\s)")
NEW_BLOCK = re.compile(
    rf"\n(?=[ \t]*(?:(?:{LISTS}|{CODE}|Notes?|Warnings?):{{1,2}}[ \t]*$|:\w[^:\n]*:[ \n]))", re.M
)
DIRECTIVE = re.compile(r"\.\. ")
PROSE_DIRECTIVE = re.compile(r"\.\. (?:note|warning|tip|important|seealso)::\s*$")
UNDERLINE = re.compile(r"[-=~^*#\"]{3,}\s*$")
BULLET = re.compile(r"^(?:[-*+•]|\(?\w{1,2}[.)]|\[\d+\])\s")
CALL = re.compile(r"(?:\w+\.)*(\w+)(\((?:[^()]|\([^()]*\))*\))[ \t]*(.*)")  # name, parameters, rest
TYPED = re.compile(r"[\w*]+(?:, ?[\w*]+)* : ")
ENTRY_NAME = re.compile(
    r"^(?::\w[^:]*:|[`'\"*]*\w[\w.,*`'\"\[\] ]{0,40}(?:\([^)]*\))?\s?(?::|--?)\s)\s*(?=[A-Z])"
)
TABLE = re.compile(r"^[ \t]*(?:\+[-=]{2}|\|.*\||={3,} +=|-{3,} +-)|\S[ \t]{3,}\S", re.MULTILINE)
PLACEHOLDER = re.compile(r"\{\w+\}\s*")  # of texts that torch fills in when it is imported
ROLE = re.compile(r":(?:\w+:){1,2}`([^`]*)`")
TARGET = re.compile(r"\s*<[^<>]*>$")
LINK = re.compile(r"`([^`<]+?)\s*<[^`>]*>`_{0,2}")
MARKS = re.compile(r"``?([^`]*)``?_{0,2}|(?<![\w*])\*{1,2}([^\s*][^*\n]*?)\*{1,2}(?![\w*])")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(]?[A-Z])")
ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|Dr|Mr|Prof|Fig|Eq|Sec|No|approx|resp|al)|\b[A-Z])\.$")
NOT_PROSE = re.compile(r"[=<>{}|\\#%@^~$`*_/]|->|\(\)|::|\w\.\w+\.\w|\w\(|https?:|\[|\]")
WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")


class Place(Enum):
    """Where in a docstring a paragraph stands."""

    LEADING = 1  # before the first section
    LATER = 2
    LIST = 3  # parameters, attributes, what is returned


def blocks(doc: str) -> Iterator[tuple[str, Place]]:
    """Yield the paragraphs and lists of a docstring; no examples, tables, formulas or directives."""
    place, until_next_section, literal, indented_is_prose = Place.LEADING, False, False, False
    text = inspect.cleandoc(doc)
    for block in BLOCK_END.split(NEW_BLOCK.sub("\n\n", text)):
        lines = block.strip("\n").split("\n")
        first = lines[0].strip()
        if not first:
            continue
        underlined = len(lines) > 1 and bool(UNDERLINE.match(lines[1].strip()))
        indented = lines[0][0] in " \t"
        if not indented:
            literal = literal and until_next_section
            indented_is_prose = False
            if place is Place.LIST and not until_next_section:
                place = Place.LATER
        if SECTION.match(first) or underlined:
            listed = bool(LIST_SECTION.match(first))
            if SECTION.match(first):
                place = Place.LIST if listed else Place.LATER
            literal, until_next_section = bool(CODE_SECTION.match(first)), underlined
            indented_is_prose = True
            lines = lines[2:] if underlined else lines[1:]
        elif FIELD.match(first):
            place, until_next_section = Place.LIST, False
        elif DIRECTIVE.match(first):
            indented_is_prose = bool(PROSE_DIRECTIVE.match(first))
            literal, lines = not indented_is_prose, lines[1:] if indented_is_prose else []
        elif indented and not indented_is_prose:
            continue
        joined = "\n".join(lines)
        if lines and not (literal or ">>>" in joined or TABLE.search(joined.strip())):
            yield joined, place
        if joined.rstrip().endswith("::"):
            literal, indented_is_prose = True, False


def plain(block: str) -> str:
    """Return a paragraph on one line, without reStructuredText's marks."""
    text = ROLE.sub(lambda found: TARGET.sub("", found[1]).strip("~!."), PLACEHOLDER.sub("", block))
    text = LINK.sub(r"\1", text)
    text = MARKS.sub(lambda found: found[1] if found[1] is not None else found[2], text)
    return " ".join(text.split()).removesuffix("::").replace("::", ":")


def without_signature(text: str, name: str) -> tuple[str, str | None]:
    """Take the signature off the beginning of a docstring written for a C function.

    Returns:
        The docstring without it, and the parameters in parentheses, or None where there were none.
    """
    if f"{name}(" not in text:
        return inspect.cleandoc(text), None
    lines = inspect.cleandoc(text).split("\n")
    signature: str | None = None
    while lines and (found := CALL.match(lines[0])) and found[1] == name:
        rest = re.sub(r"^(?:->|=>|-{1,2}|:)\s*", "", found[3])
        signature = signature or found[2]
        words = rest.split()
        described = re.search(r"(?:\.\s+|,\s+|--?\s+)(?=[A-Za-z])", rest) if "->" in found[3] else None
        if described and len(words) > 3:  # "-> v, remove the key and return the value."
            lines[0] = rest[described.end() :]
            break
        if len(words) > 3 and not re.match(r"\w[\w.\[\], ]* (?:object|instance)?$", rest):
            lines[0] = rest
            break
        if len(lines) == 1:
            break
        del lines[0]
        while lines and not lines[0].strip(" -"):
            del lines[0]
    kept = inspect.cleandoc("\n".join(lines))
    return (kept[:1].upper() + kept[1:] if signature else kept), signature


def description(doc: str) -> str:
    """Return what stands before the first section, marks removed, at most `LONGEST` characters.

    It ends at a sentence or a word. Where nothing but sections stands, the first of them is taken.
    """
    text = ""
    for block, place in blocks(doc):
        if place is not Place.LEADING:
            break
        text = f"{text} {plain(block)}".strip()
        if len(text) > LONGEST:
            break
    if not text:
        text = FIELD_MARK.sub(r"\1:", plain(next((block for block, _ in blocks(doc)), "")))
    if len(text) <= LONGEST:
        return text
    cut = text[:LONGEST]
    end = max(cut.rfind(". "), cut.rfind("; "))
    return cut[: end + 1] if end > LONGEST // 3 else cut.rpartition(" ")[0] + " ..."


def sentences(doc: str) -> Iterator[str]:
    """Yield the full sentences of a docstring: 6 to 40 words, no code, nothing cut off."""
    for block, place in blocks(doc):
        is_list = place is Place.LIST or BULLET.match(block.lstrip())
        for passage in _entries(block) if is_list else [block]:
            held = ""
            for piece in SENTENCE_END.split(plain(passage)):
                held = f"{held} {piece}".strip()
                if ABBREVIATION.search(held):
                    continue
                if is_prose(held):
                    yield held
                held = ""


def _entries(block: str) -> Iterator[str]:
    """Yield what the entries of a list say, without bullet, name and type."""
    entries: list[list[str]] = []
    lines = textwrap.dedent(block).split("\n")
    for line in lines:
        if not entries or BULLET.match(line.strip()) or line[:1] not in {" ", "\t", ""}:
            entries.append([])
        entries[-1].append(line)
    for entry in entries:
        if len(entry) > 1 and TYPED.match(entry[0]):  # numpy: "name : type", then what it is
            del entry[0]
        yield ENTRY_NAME.sub("", BULLET.sub("", " ".join(entry).strip()))


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
