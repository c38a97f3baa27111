"""Queries of several terms on a command line: "+beach" "-people" --image a.jpg --item 42:0.5."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedsearch.errors import QueryError

if TYPE_CHECKING:
    from embedsearch.index import Index
    from embedsearch.query import AnyQuery, WeightedTerm
    from embedsearch.serve.client.served_index import ServedIndex

GUARD = "\0"  # before a text that begins with a minus, so that it is not taken for an option
DIGITS = 9  # of the number of a word
# what is no finite number is refused by `WeightedTerm`
WEIGHT = re.compile(r"(?si)(.+):(-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|nan|inf(?:inity)?))")


class WeightedTermsCommand(click.Command):
    """A command whose texts may begin with a minus: "-people" is a term with a negative weight, no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Guard the texts, and parse the rest."""
        options = {name: each for each in self.get_params(ctx) for name in (*each.opts, *each.secondary_opts)}
        guarded, value, only_texts = [], False, False
        for arg in args:
            flag = options.get(arg)
            text = arg.startswith("-") and len(arg) > 2 and not arg.startswith("--") and arg not in options
            if not value and not only_texts and text and not re.fullmatch(r"-k\d+", arg):
                guarded.append(GUARD + arg)
            else:
                guarded.append(arg)
            only_texts = only_texts or (arg == "--" and not value)
            value = not value and isinstance(flag, click.Option) and not flag.is_flag and arg != "--help"
        return super().parse_args(ctx, guarded)


def query_of(
    searcher: Index | ServedIndex,
    texts: tuple[str, ...],
    images: tuple[Path, ...],
    items: tuple[str, ...],
    word: str | None,
    vectors: tuple[str, ...] = (),
    sounds: tuple[Path, ...] = (),
    *,
    crop: str = "",
) -> AnyQuery:
    """Return the query of a command line.

    Args:
        searcher: the index; it knows whether `42:0.5` is an item, or the item 42 with its weight.
        texts: one text as it is, or several that begin with + or - and may end with `:WEIGHT`.
        images: image files, which may end with `:WEIGHT`.
        items: ids of items, which may end with `:WEIGHT`.
        word: the number of a word of the one text, or the word; None for the whole.
        vectors: `.npy` files, or numbers with commas between, which may end with `:WEIGHT`.
        sounds: sound files, which may end with `:WEIGHT`.
        crop: the edges of a part of the one image, or of the image of the one item; empty for the whole.

    An index of rows takes texts as values of columns: `price=20 colour=red`.

    Raises:
        click.UsageError: there is no query, or its terms can't be told apart.
        QueryError: no term has a positive weight, or the crop is no part of one image.
    """
    from embedsearch.modalities import UNITS, QueryForm
    from embedsearch.query import Image, Query, Sound, Text, WeightedTerm, Word

    if crop and len(images) + len(items) != 1:
        raise click.UsageError("--crop names a part of one image: give one --image FILE or one --item ID.")
    texts = tuple(text.removeprefix(GUARD) for text in texts)
    if texts and UNITS[searcher.manifest.unit].form is QueryForm.ROW:
        return _row_of(searcher, texts, items)
    if word is not None:
        if len(texts) != 1 or images or items or vectors or sounds:
            raise click.UsageError("--word needs one sentence as the QUERY, and no other query beside it.")
        return Word(texts[0], int(word) if word.isdecimal() and len(word) < DIGITS else word)
    count = sum(map(len, (texts, images, items, vectors, sounds)))
    single = count == 1
    if not count:
        raise click.UsageError(
            "There is no query. Give a QUERY, --image FILE, --sound FILE, --item ID, --vector NUMBERS, "
            "or several."
        )
    if single and texts and not _is_signed(texts[0]):
        return Text(texts[0])
    plain = [text for text in texts if not _is_signed(text)]
    if len(plain) > 1:
        raise click.UsageError(
            f"Got {len(plain)} texts, {plain[0]!r} and {plain[1]!r} among them. Put a query of several "
            "words in "
            'quotes, or give each term a sign: "+beach" "-people".'
        )
    terms = [_text_term(text) for text in texts]
    for form, files in ((Image, images), (Sound, sounds)):
        for file in files:
            given, weight = (str(file), 1.0) if file.exists() else _weighed(str(file))
            terms.append(WeightedTerm(form(Path(given)), weight))
    terms += [_item_term(searcher, item) for item in items]
    if crop:
        terms = [_cut(searcher, term, crop) for term in terms]
    for vector in vectors:
        given, weight = (vector, 1.0) if _is_file(vector) else _weighed(vector)
        terms.append(WeightedTerm(_vector(given), weight))
    if single and terms[0].weight == 1:
        alone: Any = terms[0].query
        return Text(alone) if isinstance(alone, str) else alone
    return Query(tuple(terms))


def _row_of(searcher: Index | ServedIndex, texts: tuple[str, ...], items: tuple[str, ...]) -> AnyQuery:
    """Return the query of values of columns, each perhaps an argument of its own, and of items."""
    from embedsearch.query import Query, Row, WeightedTerm

    # the shell takes quotation marks away: without any, an argument with one sign of equality is one value
    each = [text if text.count("=") > 1 or set(text) & {"'", '"'} else shlex.quote(text) for text in texts]
    row = Row.of(" ".join(each))
    return Query((WeightedTerm(row), *(_item_term(searcher, item) for item in items))) if items else row


def _item_term(searcher: Index | ServedIndex, item: str) -> WeightedTerm:
    from embedsearch.query import MoreLike, WeightedTerm

    given, weight = (item, 1.0) if _has(searcher, item) else _weighed(item)
    return WeightedTerm(MoreLike(given), weight)


def _cut(searcher: Index | ServedIndex, term: WeightedTerm, crop: str) -> WeightedTerm:
    """Return a term with the part of its image; another one as it is."""
    from embedsearch.explain.shown import image_of
    from embedsearch.query import Image, MoreLike, checked_crop

    query = term.query
    if isinstance(query, MoreLike):
        hit = searcher.get(query.id)
        if hit.text is not None or not (hit.image or hit.path):
            raise QueryError(f"The item {query.id!r} has no image: leave out --crop.")
        source = image_of(hit)
        query = Image(Path(source) if isinstance(source, str) else source)
    if not isinstance(query, Image):
        return term
    return replace(term, query=replace(query, crop=checked_crop(crop)))


def _is_signed(text: str) -> bool:
    return len(text) > 1 and text[0] in "+-" and not text[1].isspace()


def _text_term(text: str) -> Any:
    from embedsearch.query import MINUS, WeightedTerm

    if not _is_signed(text):
        return WeightedTerm(text)
    if text[0] == "+":
        return WeightedTerm(*_weighed(text[1:]))
    given, weight = _weighed(text[1:], -MINUS)
    return WeightedTerm(given, -weight)


def _vector(given: str) -> Any:
    """Return the vector in a file, or the one whose numbers are typed.

    Raises:
        click.UsageError: it is neither.
    """
    import numpy as np

    from embedsearch.query import Vector

    try:
        if _is_file(given):
            return Vector(np.load(given, allow_pickle=False))
        return Vector(np.array([float(part) for part in given.strip("[] ").split(",")]))
    except (OSError, ValueError, EOFError) as error:
        raise click.UsageError(
            f"--vector takes a .npy file, or numbers separated by commas, as in 0.1,0.2; got {given!r:.60}: "
            f"{error}"
        ) from None


def _is_file(given: str) -> bool:
    try:
        return Path(given).is_file()
    except OSError:  # numbers, too long for a name
        return False


def _weighed(text: str, default: float = 1.0) -> tuple[str, float]:
    """Split `42:0.5` into what it names and its weight."""
    match = WEIGHT.fullmatch(text)
    return (match[1], float(match[2])) if match else (text, default)


def _has(searcher: Index | ServedIndex, item: str) -> bool:
    from embedsearch.errors import ItemNotFoundError

    try:
        searcher.get(item)
    except ItemNotFoundError:
        return False
    return True
