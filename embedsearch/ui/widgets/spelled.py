"""What the page asks, as a command line and as Python."""

from __future__ import annotations

import shlex
from pathlib import Path

from embedsearch.index import Index
from embedsearch.query import (
    AnyQuery,
    Image,
    MoreLike,
    Query,
    Row,
    SearchOptions,
    Sound,
    Text,
    Vector,
    Word,
    as_single,
    singles_of,
)
from embedsearch.store.folders import indexes_folder

# fields of `SearchOptions` that are options of their own name where they are not as in this one
PLAIN = SearchOptions()
FLAGS = ("close", "diverse", "feedback")
RECORDS = "# Two indexes are compared by whole items, those of the same content as one, outside of the page."
VALUES = ("sort", "rerank", "mode", "by")


def command(searcher: Index, query: AnyQuery, options: SearchOptions, where: str, other: str = "") -> str:
    """Return the command line that finds the same.

    Args:
        searcher: the index.
        query: what is asked.
        options: how the hits are chosen; their filter is `where`.
        where: the filter as text; empty for none.
        other: the index that is asked the same, side by side; empty for none.
    """
    others = [each for each in singles_of(query) if not isinstance(each, Text)]
    cut = [each.crop for each in others if isinstance(each, Image) and each.crop]
    if cut and len(others) > 1:
        return "# A command can cut one image alone. Copy the search as Python."
    if other and (options.by, options.fold) != (PLAIN.by, PLAIN.fold):
        return RECORDS
    name = searcher.manifest.name
    said = ["embedsearch", *(["versus", name, other] if other else ["search", name]), *_arguments(query)]
    said += [f"--crop={','.join(f'{edge:g}' for edge in each)}" for each in cut]
    said += ["-k", str(options.most)]
    if not other:
        said += [f"--{name}" for name in FLAGS if getattr(options, name)]
        said += [] if options.fold else ["--no-fold"]
        for option in VALUES:
            if (value := getattr(options, option)) != getattr(PLAIN, option):
                said.append(f"--{option}={value}")
    said += [f"--where={where}"] if where else []
    said.append(f"--indexes={indexes_folder()}")
    if isinstance(query, Word):
        said += ["--", query.sentence] if query.sentence.startswith("-") else [query.sentence]
    return " ".join(map(shlex.quote, said))


def python(searcher: Index, query: AnyQuery, options: SearchOptions, where: str, other: str = "") -> str:
    """Return the Python program that finds the same; arguments as `command`."""
    if other and (options.by, options.fold) != (PLAIN.by, PLAIN.fold):
        return RECORDS
    given = {"k": options.most, **({"where": where} if where else {})}
    given |= {
        name: getattr(options, name)
        for name in (*FLAGS, "fold", *VALUES)
        if not other and getattr(options, name) != getattr(PLAIN, name)
    }
    arguments = ", ".join([_expression(query), *(f"{name}={value!r}" for name, value in given.items())])
    imports = "import embedsearch as es\n"
    if "Path(" in arguments:
        imports = f"from pathlib import Path\n\n{imports}"
    folder = str(indexes_folder())
    opened = f"{imports}\nix = es.open({searcher.manifest.name!r}, {folder!r})\n"
    if other:
        return (
            f"{opened}found = ix.versus(es.open({other!r}, {folder!r}), {arguments})\nprint(found.sentence)\n"
            "for hits in (found.left, found.right):\n"
            "    for hit in hits:\n        print(hit.rank, hit.id, hit.distance)\n"
        )
    return f"{opened}for hit in ix.search({arguments}):\n    print(hit.rank, hit.id, hit.distance)\n"


def _arguments(query: AnyQuery) -> list[str]:
    """Return a query as arguments of a command line."""
    if isinstance(query, Query):
        return [each for part in query.terms for each in _term(as_single(part.query), part.weight)]
    if isinstance(query, Word):
        return [f"--word={query.word}"]  # the sentence stands at the end
    if isinstance(query, Text):
        return _term(query, 1.0) if query.text.startswith(("+", "-")) else [query.text]
    return shlex.split(str(query)) if isinstance(query, Row) else _option(query, "")


def _term(query: AnyQuery, weight: float) -> list[str]:
    if isinstance(query, Text):
        return [f"{'-' if weight < 0 else '+'}{query.text}:{abs(weight):g}"]
    return _option(query, f":{weight:g}")


def _option(query: AnyQuery, weight: str) -> list[str]:
    if isinstance(query, MoreLike):
        return [f"--item={query.id}{weight}"]
    if isinstance(query, Image | Sound):
        return [f"--{'image' if isinstance(query, Image) else 'sound'}={query.source!s}{weight}"]
    if isinstance(query, Vector):
        return [f"--vector={','.join(map(repr, query.values.ravel().tolist()))}{weight}"]
    return []


def _expression(query: AnyQuery) -> str:
    """Return a query as Python."""
    if isinstance(query, Query):
        parts = (
            f"es.WeightedTerm({_expression(as_single(part.query))}, {part.weight:g})" for part in query.terms
        )
        return f"es.Query(({', '.join(parts)},))"
    if isinstance(query, Text):
        return repr(query.text)
    if isinstance(query, MoreLike):
        return f"es.MoreLike({query.id!r})"
    if isinstance(query, Word):
        return f"es.Word({query.sentence!r}, {query.word!r})"
    if isinstance(query, Image | Sound) and isinstance(query.source, Path):
        crop = f", crop={query.crop}" if isinstance(query, Image) and query.crop else ""
        return f"es.{type(query).__name__}(Path({str(query.source)!r}){crop})"
    if isinstance(query, Vector):
        return repr(query.values.ravel().tolist())
    return f"es.Row({dict(query.values)!r})" if isinstance(query, Row) else repr(str(query))
