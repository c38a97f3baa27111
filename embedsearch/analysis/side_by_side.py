"""The answers of two indexes to one query, side by side: which hits both have, and how far they agree."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from embedsearch.crossmodal import asked_across
from embedsearch.errors import FilterError, QueryError
from embedsearch.modalities import UNITS, QueryForm, modality_of
from embedsearch.query import (
    AnyQuery,
    Both,
    Image,
    In,
    MoreLike,
    Query,
    SearchOptions,
    Single,
    Sound,
    Text,
    Tree,
    Vector,
    as_query,
    as_single,
    singles_of,
)
from embedsearch.results import Hit, Results
from embedsearch.search.searcher import Searcher
from embedsearch.store.manifest import Manifest

PERSISTENCE = 0.9  # p of rank-biased overlap: the first ten ranks have 86 % of its weight


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The answers of two indexes to one query.

    Attributes:
        left: the hits of the first index.
        right: the hits of the second index.
        pairs: the places, from 0, of each hit that both have: `(left, right)`, in the order of the left.
        differs: what the two indexes differ in: what it is called, and how it is in each of them.
        notes: sentences on what could not be asked of both alike.
    """

    left: Results
    right: Results
    pairs: tuple[tuple[int, int], ...]
    differs: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...] = ()

    @property
    def depth(self) -> int:
        """How many hits the longer answer has."""
        return max(len(self.left), len(self.right))

    @property
    def overlap(self) -> float:
        """The share of hits that both have, 0 to 1: overlap@k, where k is `depth`; 1 where there are none."""
        return len(self.pairs) / self.depth if self.depth else 1.0

    @property
    def rbo(self) -> float:
        """How far the two orders agree, 0 to 1; see `rank_biased_overlap`."""
        return rank_biased_overlap(self.pairs, len(self.left), len(self.right))

    @property
    def sentence(self) -> str:
        """How far the two agree, for people."""
        if not self.depth:
            return "Neither index finds anything."
        if not self.pairs:
            return f"No item is among the first {self.depth} of both: indexes of different items can't agree."
        return (
            f"Both find {len(self.pairs)} of {self.depth}: overlap@{self.depth} is {self.overlap:.2f}, "
            f"rank-biased overlap {self.rbo:.2f} (p = {PERSISTENCE:g}; 1 is the same order, 0 nothing in "
            "common)."
        )


def side_by_side(left: Searcher, right: Searcher, query: Any, options: SearchOptions) -> SideBySide:
    """Ask two indexes the same.

    A hit is the same where it has the same id, or else the same text or the same file.

    Args:
        left: an index.
        right: another one that can be asked so, see `fits`. It is asked with the text or the image of an item
            that it does not have, and without a filter by fields or by items that it does not have.
        query: as in `Index.search`.
        options: how the hits are chosen.

    Raises:
        QueryError, ItemNotFoundError, ItemError, FilterError: as `Index.search`.
    """
    asked, name = as_query(query), right.manifest.name
    notes: list[str] = []
    (first,) = left.search_all([asked], options)
    there = _carried(left, right, asked)
    if there is not asked:
        notes.append(f"{name} does not have the item of the query: it is asked with what the item holds.")
    where, lacks = _fitting(right, options.where)
    notes += [f"{name} does not have the {each} of the filter, which is left out there." for each in lacks]
    options = replace(options, where=where)
    (second,) = right.search_all([there], options)
    differs = differences(left.manifest, right.manifest)
    return SideBySide(first, second, matched(first, second), differs, tuple(notes))


def fits(left: Manifest, right: Manifest, query: AnyQuery) -> bool:
    """Whether two indexes can be asked the same, and may find the same things."""
    if left.name == right.name or modality_of(left.unit) is not modality_of(right.unit):
        return False
    forms = {_own_form(right), asked_across(right)}
    same_unit = UNITS[left.unit].form is UNITS[right.unit].form
    return all(
        same_unit if isinstance(each, MoreLike) else not isinstance(each, Vector) and each.form in forms
        for each in singles_of(query)
    )


def _own_form(manifest: Manifest) -> QueryForm:
    encoder = manifest.recipe.encoder
    if encoder.own:
        return QueryForm.VECTOR
    return QueryForm.TEXT if encoder.query_model else UNITS[manifest.unit].form


def _carried(left: Searcher, right: Searcher, query: AnyQuery) -> AnyQuery:
    """Return a query, each item that the right index does not have as its text, image or sound."""
    if isinstance(query, Query):
        terms = [replace(term, query=_carried(left, right, as_single(term.query))) for term in query.terms]
        same = all(a.query is b.query for a, b in zip(terms, query.terms, strict=True))
        return query if same else Query(tuple(terms))
    if not isinstance(query, MoreLike) or right.build.row_of(query.id) is not None:
        return query
    content, form = left.item(query.id).content, UNITS[right.manifest.unit].form
    makes: dict[QueryForm, Callable[[Any], Single]] = {
        QueryForm.TEXT: Text, QueryForm.IMAGE: Image, QueryForm.SOUND: Sound,
    }  # fmt: skip
    if content is None or form not in makes:
        raise QueryError(f"{right.manifest.name} has no item {query.id!r:.80} to look for more like it.")
    return makes[form](content)


def _fitting(right: Searcher, where: str | Tree | None) -> tuple[str | Tree | None, list[str]]:
    """Return the parts of a filter that mean something in another index, and what it lacks of the others."""
    kept: list[str | Tree] = []
    lacks: list[str] = []
    for part in (where.left, where.right) if isinstance(where, Both) else (where,):
        if part is None:
            continue
        try:
            passing = right.filter(part).mask
        except FilterError:
            lacks.append("fields")
            continue
        if isinstance(part, In) and part.field == "id" and not passing.any():
            lacks.append("items")
        else:
            kept.append(part)
    if isinstance(where, Both) and len(kept) == 2:
        return where, lacks
    return (kept[0] if kept else None), lacks


def matched(left: Sequence[Hit], right: Sequence[Hit]) -> tuple[tuple[int, int], ...]:
    """Return the places of the hits that both have: by passage or moment, then by id, by text or by file."""
    keys: tuple[Callable[[Hit], Hashable], ...] = (
        lambda hit: hit.item,
        lambda hit: hit.id,
        lambda hit: None if hit.span or hit.passage else hit.text,
        lambda hit: None if hit.moment else hit.path,
    )
    found: dict[int, int] = {}
    for key in keys:
        taken = set(found.values())
        places: dict[Hashable, list[int]] = {}
        for at, hit in enumerate(right):
            if at not in taken:
                places.setdefault(key(hit), []).append(at)
        for at, hit in enumerate(left):
            same = key(hit)
            if at not in found and same is not None and places.get(same):
                found[at] = places[same].pop(0)
    return tuple(sorted(found.items()))


def rank_biased_overlap(pairs: Sequence[tuple[int, int]], left: int, right: int) -> float:
    """Return how far two orders agree, 0 to 1, the first ranks most.

    RBO_EXT of Webber, Moffat and Zobel 2010 (A similarity measure for indefinite rankings, equation 32) with
    p = 0.9: the mean of the overlaps of the first d ranks, weighted by p^d, which goes on behind the last
    rank as it is there.

    Args:
        pairs: the places, from 0, of what both have: `(left, right)`.
        left: how many ranks the first order has.
        right: how many ranks the second order has.
    """
    short, long, p = *sorted((left, right)), PERSISTENCE
    if not short:
        return 0.0 if long else 1.0
    ends = sorted(max(pair) + 1 for pair in pairs)
    shared = [bisect_right(ends, depth) for depth in range(long + 1)]  # among the first `depth`
    total = sum(shared[d] / d * p**d for d in range(1, long + 1))
    total += sum(shared[short] * (d - short) / (short * d) * p**d for d in range(short + 1, long + 1))
    beyond = (shared[long] - shared[short]) / long + shared[short] / short
    return (1 - p) / p * total + beyond * p**long


def differences(left: Manifest, right: Manifest) -> tuple[tuple[str, str, str], ...]:
    """Return what two indexes differ in, of what decides on the order of hits, for people."""
    both = [_made(left), _made(right)]
    return tuple((name, both[0][name], both[1][name]) for name in both[0] if both[0][name] != both[1][name])


def _made(manifest: Manifest) -> dict[str, str]:
    """Return how the vectors of an index are made and compared, for people."""
    spec = manifest.encoder.spec
    return {
        "model": spec.model.rstrip("/").rpartition("/")[2],
        "pooling": spec.pooling or "none",
        "layers": ", ".join(map(str, spec.layers)) or "none",
        "unit": manifest.unit,
        "views": spec.views,
        "splitter": spec.splitter or "none",
        "distance": f"{manifest.metric}, centred" if manifest.centring else str(manifest.metric),
        "dimension": f"{manifest.dimension:,}",
        "search": manifest.backend,
        "items": f"{manifest.count:,}",
    }
