"""An open index, with everything that a user does with it.

A verb that makes a new build (`add`, `delete`, `rebuild`, `calibrate`, `align`, `tune`, `map`, `rollback`)
returns a new open `Index`. The index that it was called on goes on answering from its own build.

A verb imports what it needs when it is called: a search needs neither SciPy nor the readers of sources.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from embedsearch.backends import AUTO, is_address, is_elsewhere
from embedsearch.disk.cache import cache_folder
from embedsearch.disk.lock import write_lock
from embedsearch.disk.paths import expanded
from embedsearch.encoders import Encoder, open_encoder
from embedsearch.encoders.own import OwnEncoder, loading
from embedsearch.errors import EmbedsearchError, RecipeError
from embedsearch.progress import Progress, Silent
from embedsearch.query import (
    DEFAULT_K,
    DEFAULT_SAMPLE,
    RERANK_K,
    AnyQuery,
    By,
    Mode,
    MoreLike,
    SearchOptions,
    Tree,
    is_several,
)
from embedsearch.recipe import (
    KEPT,
    MEMORY,
    RECIPE_FILE,
    EncoderRecipe,
    IndexOptions,
    Recipe,
    SourceRecipe,
    absolute_uri,
    check_name,
    layers_of,
)
from embedsearch.results import Hit, Results
from embedsearch.search.searcher import Searcher
from embedsearch.store.build import Build, open_current
from embedsearch.store.fetched import fetch_into, is_fetched
from embedsearch.store.folders import current_build, index_folder, indexes_folder
from embedsearch.store.manifest import Manifest
from embedsearch.store.versions import Freed, builds_of, collect, remove, roll_back, settle, verify_builds

if TYPE_CHECKING:
    from embedsearch.analysis.duplicates import Duplicates
    from embedsearch.analysis.side_by_side import SideBySide
    from embedsearch.explain.explanation import Explanation
    from embedsearch.indexing.changes import Changes
    from embedsearch.maps import Map

Where = str | Mapping[str, Any] | Tree | None


class Index(Searcher):
    """An open index. Opening it verifies its files; the model is loaded by the first query that needs it.

    `len(index)` is the number of its items. Threads may share it.
    """

    def __repr__(self) -> str:
        manifest = self.manifest
        return (
            f"<Index {self.name!r}: {self.build.held}, {manifest.encoder.spec.model}, "
            f"{manifest.dimension}-d, {manifest.metric}>"
        )

    @property
    def name(self) -> str:
        """The name of the index."""
        return self._home.name

    @property
    def _home(self) -> Path:
        """The folder of the index: that of its builds lies in it."""
        return self.build.folder.parents[1]

    @overload
    def search(
        self,
        query: list[str] | list[AnyQuery] | list[list[float]],
        k: int | None = ...,
        where: Where = ...,
        strictness: float | None = ...,
        *,
        fold: bool = ...,
        close: bool = ...,
        diverse: bool = ...,
        feedback: bool = ...,
        rerank: bool | int | str = ...,
        rerank_k: int = ...,
        sort: str = ...,
        facets: Sequence[str] = ...,
        mode: Mode | None = ...,
        by: By = ...,
    ) -> list[Results]: ...
    @overload
    def search(
        self,
        query: Any,
        k: int | None = ...,
        where: Where = ...,
        strictness: float | None = ...,
        *,
        fold: bool = ...,
        close: bool = ...,
        diverse: bool = ...,
        feedback: bool = ...,
        rerank: bool | int | str = ...,
        rerank_k: int = ...,
        sort: str = ...,
        facets: Sequence[str] = ...,
        mode: Mode | None = ...,
        by: By = ...,
    ) -> Results: ...
    def search(
        self,
        query: Any,
        k: int | None = None,
        where: Where = None,
        strictness: float | None = None,
        *,
        fold: bool = True,
        close: bool = False,
        diverse: bool = False,
        feedback: bool = False,
        rerank: bool | int | str = "",
        rerank_k: int = RERANK_K,
        sort: str = "",
        facets: Sequence[str] = (),
        mode: Mode | None = None,
        by: By = "record",
    ) -> Results | list[Results]:
        """Return the `k` nearest items, and judge whether any of them is close.

        Args:
            query: a text (str), an image (`Path`, bytes or PIL image), a vector, or a `Text`, `Image`,
                `Word`, `MoreLike`, `Vector`, or several of them in a `Query`. The item of a `MoreLike` is not
                among its own hits. A list or tuple that holds anything but numbers is several queries, and
                a list of results is returned, one for each.
            k: how many, at least 1; fewer come when fewer exist. None for 12, and with `close` for all.
            where: a filter over the fields: a text such as ``"label = 'dress' and price < 40"``; a dict such
                as ``{"topic": "payments", "year": [2023, 2024]}``, see `filters.conditions`; or a tree that
                `filters.parse` returns.
            strictness: the share (over 0, under 1) of unrelated queries that are to get `nothing_close`; None
                for what `calibrate` set, or else what the index chooses.
            fold: return one hit for items with the same content, the first; `copies` is the number of the
                others. There are still `k` hits.
            close: find all that is within the limit of the verdict, and nothing else; `found` of them.
            diverse: choose hits that differ from one another; see `embedsearch.search.diverse`.
            feedback: search again with the mean of the first three hits added to the query.
            rerank: order the first hits again: True by the hidden states of their tokens, a number for so
                many hits, a str by the cross-encoder of that hub id or folder.
            rerank_k: how many of the first hits are re-ranked.
            sort: the field to sort what was found by, with `-` before it to descend.
            facets: fields whose values are counted among what was found.
            mode: what of a text is searched for: its `vector`, its words (`lexical`), or both (`hybrid`);
                None for the default of the index, see `LexicalFacts.mode`. Hits of `hybrid` and `lexical` say
                what found them, have a score `bm25`, and are not in the order of their distances.
            by: `record` for one hit of each record, with its nearest passage or moment; `passage` for a hit
                of each passage of long texts, or of each moment of sounds and videos.

        Raises:
            QueryError: the query does not fit this index, or an option can't be used as given.
            FilterError: the filter can't be understood.
            ItemNotFoundError: no item has that id.
            ItemError: the image can't be read.
        """
        chosen = _tree(where)
        options = SearchOptions(
            k, chosen, strictness, fold, close, diverse, feedback, rerank, rerank_k, sort, facets, mode, by
        )
        if is_several(query):
            return self.search_all(query, options)
        return self.search_all([query], options)[0]

    def answer(self, query: Any, k: int = DEFAULT_K, where: Where = None) -> Results:
        """Search, by the verb of 0.6; it goes with 1.0."""
        warnings.warn("Index.answer is now Index.search.", DeprecationWarning, stacklevel=2)
        results: Results = self.search(query, k, where)
        return results

    def similar(self, id: str, k: int = DEFAULT_K, where: Where = None) -> Results:
        """Return the `k` items nearest to an item, without the item itself; see `search`.

        Raises:
            ItemNotFoundError: no item has that id.
        """
        return self.search(MoreLike(id), k, where)

    def versus(self, other: Index, query: Any, k: int = DEFAULT_K, where: Where = None) -> SideBySide:
        """Ask this index and another one the same; see `embedsearch.analysis.side_by_side`.

        Args:
            other: an index that can be asked with the query too.
            query: as in `search`.
            k: how many hits of each.
            where: as in `search`; what names fields or items that the other index lacks is left out there.

        Raises:
            QueryError, ItemNotFoundError, ItemError, FilterError: as `search`, of either index.
        """
        from embedsearch.analysis.side_by_side import side_by_side

        return side_by_side(self, other, query, SearchOptions(k, _tree(where)))

    def get(self, id: str) -> Hit:
        """Return an item by its id: a `Hit` of rank 0 and distance 0.

        Raises:
            ItemNotFoundError: no item has that id.
        """
        return self.item(id)

    def explain(self, query: Any, hit: Hit | str) -> Explanation:
        """Return which words or patches of a hit made its similarity; see `embedsearch.explain.attribution`.

        Args:
            query: what was asked, as in `search`.
            hit: a hit, or the id of any item.

        Raises:
            QueryError, ItemNotFoundError, ItemError: as `search`; the item's image may be gone, too.
            ModelError: it is not known which token of this model stands for which part of an image.
        """
        from embedsearch.explain.attribution import explain

        return explain(self, query, hit)

    def duplicates(
        self,
        threshold: float | str = "auto",
        keep: str = "best",
        *,
        check: bool = True,
        progress: Progress | None = None,
    ) -> Duplicates:
        """Group the items that are copies of one another; see `analysis.duplicates.find_duplicates`."""
        from embedsearch.analysis.duplicates import find_duplicates

        return find_duplicates(self, threshold, keep, progress, check=check)

    def evaluate(
        self,
        *,
        k: int = 10,
        sample: int = DEFAULT_SAMPLE,
        queries: str | Path | None = None,
        filters: bool = False,
        labels: str = "",
        test: str | Path | None = None,
        layers: int | Sequence[int] = (),
        qrels: str | Path | None = None,
        pairs: str | Path | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Measure recall, latency and quality; arguments and errors as `analysis.evaluate.evaluate`."""
        from embedsearch.analysis.evaluate import evaluate

        files = [None if path is None else Path(path) for path in (queries, qrels, pairs, test)]
        return evaluate(
            self,
            k=k,
            sample=sample,
            queries=files[0],
            filters=filters,
            labels=labels,
            test=files[3],
            layers=layers_of(layers),
            qrels=files[1],
            pairs=files[2],
            progress=progress,
        )

    def tune(self, queries: str | Path, qrels: str | Path, *, progress: Progress | None = None) -> Index:
        """Choose the mode and the weight of vectors by judged queries; see `analysis.tuning.tune`."""
        from embedsearch.analysis.tuning import tune

        return self._open(tune(self, Path(queries), Path(qrels), progress))

    def diagnostics(self, *, progress: Progress | None = None) -> dict[str, Any]:
        """Measure hubs, a common direction, copies and lengths of the vectors; see `analysis.diagnostics`."""
        from embedsearch.analysis.diagnostics import diagnose

        return diagnose(self.build, progress=progress)

    def info(self) -> Manifest:
        """Return what the index was made from and what it holds."""
        return self.manifest

    def rejected(self) -> list[dict[str, Any]]:
        """Return what the build could not read or embed: the `id` and the `reason` of each."""
        return [{"id": each["id"], "reason": each["reason"]} for each in self.build.rejected()]

    @property
    def layout(self) -> Map | None:
        """The map that `map` made: x and y of each item, and its groups; None where none was made."""
        from embedsearch.artifacts.map import load_map

        return load_map(self.build)

    def map(
        self,
        method: str | None = None,
        *,
        clusters: int = 0,
        names: str = "",
        progress: Progress | None = None,
    ) -> Index:
        """Make a map of the items in two dimensions; the new index has it as `layout`.

        Args:
            method: `pca` or `umap`; None for UMAP where the extra `umap` is installed, else PCA.
            clusters: how many groups; 0 for the square root of half the number of items, at most 8.
            names: the field that names the groups; empty for texts and captions.
            progress: gets the progress reports.

        Raises:
            QueryError, MissingExtraError: as `embedsearch.maps.make_map`.
            IndexBusyError: another process is writing the index.
        """
        from embedsearch.artifacts.map import map_index
        from embedsearch.maps.inputs import Method, Settings
        from embedsearch.maps.layouts import default_method

        settings = Settings(Method(method) if method else default_method(), clusters, names)
        return self._open(map_index(self._home.parent, self.name, settings, progress or Silent()))

    def add(self, items: Any, *, progress: Progress | None = None) -> Index:
        """Add items to an index made from memory; only they are embedded.

        Args:
            items: of the form that the index was built from, see `embedsearch.build`. An item whose id is
                there already replaces it; without ids of its own, so does one of the same content.
            progress: gets the progress reports.

        Raises:
            RecipeError: the index was made from files: change them and call `rebuild`.
            SourceError: the items have another form than those of the index.
            EmbedsearchError: as `embedsearch.build`.
        """
        from embedsearch.sources import memory

        return self._changed(lambda source: memory.with_items(source, items, self._home), progress)

    def delete(self, ids: Sequence[str], *, progress: Progress | None = None) -> Index:
        """Delete items from an index made from memory; nothing is embedded.

        Args:
            ids: of the items; in an index of words those of their texts, the part before `#`.
            progress: gets the progress reports.

        Raises:
            RecipeError: the index was made from files: delete them there and call `rebuild`.
            ItemNotFoundError: an id is not there; nothing is deleted.
            SourceError: no item would be left.
        """
        from embedsearch.sources import memory

        wanted = [ids] if isinstance(ids, str) else list(ids)
        return self._changed(lambda source: memory.without_items(source, wanted, self._home), progress)

    def _changed(self, change: Callable[[SourceRecipe], SourceRecipe], progress: Progress | None) -> Index:
        """Change the source that the index's folder keeps, and bring the index up to date with it."""
        from embedsearch.indexing.build import build_index

        recipe = Recipe.load(self._home)
        if recipe.source.kind != MEMORY:
            raise RecipeError(
                f"The index {self.name!r} is made from {recipe.source.location}: change that, then call "
                "rebuild(). Only an index made from memory takes add and delete."
            )
        with write_lock(self._home / KEPT):  # two changes at once would lose one of them
            recipe = Recipe.load(self._home)
            made = replace(recipe, source=change(recipe.source))
            build = build_index(
                made, self._home.parent, replace=True, allow_removal=True, progress=progress, load=self._load
            )
            clear_sources(self._home)
        return self._open(build)

    def rebuild(
        self,
        *,
        full: bool = False,
        strict: bool = False,
        allow_removal: bool = False,
        backend: str = "",
        uri: str = "",
        items: str = "",
        memory: str = "",
        recall: float = 0,
        queries: str | Path = "",
        keep: int = 0,
        shard_size: int = 0,
        center: bool | None = None,
        dim: int = 0,
        runner: str = "local",
        address: str = "",
        progress: Progress | None = None,
    ) -> Index:
        """Bring the index up to date with its source; arguments and errors as `embedsearch.rebuild`."""
        return rebuild(
            self.name,
            full=full,
            strict=strict,
            allow_removal=allow_removal,
            backend=backend,
            uri=uri,
            items=items,
            memory=memory,
            recall=recall,
            queries=queries,
            keep=keep,
            shard_size=shard_size,
            center=center,
            dim=dim,
            runner=runner,
            address=address,
            indexes=self._home.parent,
            progress=progress,
            load=self._load,
        )

    def changes(self, *, full: bool = False, progress: Progress | None = None) -> Changes:
        """Return what `rebuild` would find new, changed and gone, and write nothing."""
        return changes(self.name, full=full, indexes=self._home.parent, progress=progress)

    def calibrate(
        self,
        *,
        pairs: str | Path = "",
        background: str | Path = "",
        own: str | Path = "",
        lost: float | None = None,
        strictness: float | None = None,
        progress: Progress | None = None,
    ) -> Index:
        """Measure the distance scale again; arguments and errors as `embedsearch.calibrate`."""
        from embedsearch.artifacts.calibration import calibrate

        return self._open(
            calibrate(
                self.name,
                pairs=pairs,
                background=background,
                own=own,
                lost=lost,
                strictness=strictness,
                root=self._home.parent,
                progress=progress,
                load=self._load,
            )
        )

    def align(
        self,
        captions: str | Path = "",
        *,
        field: str = "caption",
        text_model: str | Path = "",
        progress: Progress | None = None,
    ) -> Index:
        """Align the images with captions, so that texts find them; as `embedsearch.align`."""
        from embedsearch.artifacts.alignment import align

        root = self._home.parent
        return self._open(
            align(self.name, captions, field=field, text_model=text_model, root=root, progress=progress)
        )

    def verify(self) -> list[tuple[str, str]]:
        """Read every file of every build; return each build's id and its fault, empty where it is whole."""
        return verify_builds(self._home.parent, self.name)

    def rollback(self, to: str = "") -> Index:
        """Go back to the build `to`, or to the newest whole one before the current one.

        Raises:
            RecipeError: there is no such build.
        """
        return self._open(roll_back(self._home.parent, self.name, to))

    def gc(self, keep: int | None = None, *, unfinished: bool = False) -> Freed:
        """Delete builds that are no longer kept; see `store.versions.collect`."""
        freed = collect(self._home.parent, self.name, keep, unfinished=unfinished)
        clear_sources(self._home)
        return freed

    def remove(self) -> None:
        """Delete the index with all its builds. What it was made from stays, unless that was in memory."""
        remove(self._home.parent, self.name)

    def _open(self, build: Build) -> Index:
        return Index(build, self._load)


def _tree(where: Where) -> str | Tree | None:
    """Return a filter as a search takes it; a dict as a tree."""
    if not isinstance(where, Mapping):
        return where
    from embedsearch.search.filters import conditions

    return conditions(where)


def clear_sources(folder: Path) -> None:
    """Delete what was kept of sources in memory and no build of the index needs any more."""
    current = Path(Recipe.load(folder).source.location)
    used = {current.name}
    for build in builds_of(folder):
        try:
            used.add(Path(Manifest.load(build).recipe.source.location).name)
        except EmbedsearchError:  # a damaged build, whose source is not known
            return
    for path in (folder / KEPT).glob("*.parquet"):
        # what is newer may belong to a build that is under way
        if path.name not in used and path.stat().st_mtime < current.stat().st_mtime:
            path.unlink()


def open_index(
    name: str,
    indexes: str | Path | None = None,
    *,
    encoder: OwnEncoder | None = None,
    load: Callable[[EncoderRecipe], Encoder] = open_encoder,
) -> Index:
    """Open an index for searching.

    Args:
        name: the index's name; or `milvus://host/name` or `postgresql://host/database/name` for one on a
            server that holds its items too.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.
        encoder: the encoder of your own that the index was built with, see `embedsearch.build`.
        load: what makes the encoder, for callers that share encoders.

    Raises:
        IndexNotFoundError: there is none of that name.
        ServerError: a server does not answer.
        IndexDamagedError: its files are missing, truncated or altered.

    Example:
        >>> open_index("faq").search("how do I get my money back", k=5)[0].text
        'I want a refund'
    """
    making = load if encoder is None else loading(encoder)
    if isinstance(name, str) and is_address(name):
        home = cache_folder() / "fetched" / hashlib.sha256(name.encode()).hexdigest()[:16]
        return Index(Build(fetch_into(home, name)), making)
    return open_current(indexes_folder(indexes), name, lambda build: Index(Build(build), making))


def rebuild(
    name: str,
    *,
    full: bool = False,
    strict: bool = False,
    allow_removal: bool = False,
    backend: str = "",
    uri: str = "",
    items: str = "",
    memory: str = "",
    recall: float = 0,
    queries: str | Path = "",
    keep: int = 0,
    shard_size: int = 0,
    center: bool | None = None,
    dim: int = 0,
    runner: str = "local",
    address: str = "",
    indexes: str | Path | None = None,
    progress: Progress | None = None,
    encoder: OwnEncoder | None = None,
    load: Callable[[EncoderRecipe], Encoder] = open_encoder,
) -> Index:
    """Bring the index `name` up to date with its source, and open it.

    Only what is new or changed is embedded. Where nothing changed, nothing is published.

    Args:
        name: the index's name.
        full: embed everything again.
        strict: fail where the recall asked for is not reached.
        allow_removal: whether more than 20 percent of the records may be gone from the source.
        backend: change the index type, see `embedsearch.build`; this and the next nine are saved in the
            recipe. Empty, 0 or None for what the recipe says.
        uri: see `embedsearch.build`.
        items: see `embedsearch.build`.
        memory: see `embedsearch.build`.
        recall: see `embedsearch.build`.
        queries: see `embedsearch.build`.
        keep: see `embedsearch.build`.
        shard_size: see `embedsearch.build`; the shards are built anew.
        center: see `embedsearch.build`; False also takes `dim` back.
        dim: see `embedsearch.build`.
        runner: who embeds, see `embedsearch.build`; it is not saved.
        address: see `embedsearch.build`.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.
        progress: gets the progress reports.
        encoder: the encoder of your own that the index was built with, see `embedsearch.build`.
        load: what makes the encoder, for callers that share encoders.

    Raises:
        IndexNotFoundError: there is neither an index nor a recipe of that name.
        EmbedsearchError: see `embedsearch.indexing.build.build_index`.
    """
    from embedsearch.indexing.build import build_index

    root = indexes_folder(indexes)
    settle(root / check_name(name))
    recipe = _stored(root, name)
    asked = IndexOptions(center=center, dim=dim)
    kind = backend or recipe.index.backend
    if shard_size and kind not in (AUTO, "sharded"):
        raise RecipeError(f"The index is {kind} and has no shards: add --backend sharded to --shard-size.")
    elsewhere = bool(uri) or is_elsewhere(kind)
    options = replace(
        recipe.index,
        backend=kind,
        uri=absolute_uri(uri) or (recipe.index.uri if elsewhere else ""),
        items=items or (recipe.index.items if elsewhere else "local"),
        memory=memory or recipe.index.memory,
        recall=recall or recipe.index.recall,
        queries=str(expanded(queries).resolve()) if queries else recipe.index.queries,
        keep=keep or recipe.index.keep,
        shard_size=shard_size or recipe.index.shard_size,
        center=recipe.index.center if center is None and not dim else asked.centred or None,
        dim=0 if center is False else dim or recipe.index.dim,
    )
    recipe = replace(recipe, index=options)
    making = load if encoder is None else loading(encoder)
    made = build_index(
        recipe,
        root,
        full=full,
        strict=strict,
        allow_removal=allow_removal,
        progress=progress,
        load=making,
        runner=runner,
        address=address,
    )
    return Index(made, making)


def changes(
    name: str,
    *,
    full: bool = False,
    indexes: str | Path | None = None,
    progress: Progress | None = None,
) -> Changes:
    """Return what `rebuild` would find new, changed and gone, and write nothing.

    Args:
        name: the index's name.
        full: as for `rebuild`.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.
        progress: gets the progress reports.

    Raises:
        IndexNotFoundError: there is no index of that name.
        EmbedsearchError: see `embedsearch.indexing.build.compare_index`.
    """
    from embedsearch.indexing.build import compare_index

    root = indexes_folder(indexes)
    index_folder(root, name)
    return compare_index(_stored(root, name), root, full=full, progress=progress)


def _stored(root: Path, name: str) -> Recipe:
    """Return the recipe of an index, finished or not."""
    folder = root / check_name(name)
    if not (folder / RECIPE_FILE).is_file():
        folder = index_folder(root, name)
        if is_fetched(current_build(folder)):
            raise RecipeError(
                f"{name} was fetched from a server. Rebuild it where it was built, then fetch it again."
            )
    return Recipe.load(folder)
