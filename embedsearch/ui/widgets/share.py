"""What a visitor takes along: hits as files, the question as a link, a command or Python, and searches."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import streamlit as st
from streamlit.components.v2 import component

from embedsearch.analysis.side_by_side import SideBySide
from embedsearch.index import Index
from embedsearch.query import AnyQuery, SearchOptions
from embedsearch.results import Hit, Results
from embedsearch.serve.schemas import Output, SearchOutput, VersusOutput
from embedsearch.ui import asset, downloads, url_state
from embedsearch.ui.widgets import cards, spelled
from embedsearch.ui.widgets.job_panel import may_build

KEY, GO, VISITOR = "search-share", "go", "search-visitor"


@dataclass(frozen=True, slots=True)
class Shared:
    """What a visitor can take along.

    Attributes:
        files: of each file its name, its label, and what writes it to a path.
        command: the command line that finds the same.
        python: the Python program that finds the same.
    """

    files: Sequence[tuple[str, str, Callable[[Path], object]]]
    command: str
    python: str


def of_search(
    searcher: Index,
    query: AnyQuery,
    options: SearchOptions,
    where: str,
    results: Results,
    every: Callable[[], Results],
) -> Shared:
    """Return what can be taken along of an answer.

    Args:
        searcher: the index.
        query: what is asked.
        options: how the hits are chosen.
        where: the filter as text; empty for none.
        results: what was found.
        every: finds all that the files hold.
    """
    name, manifest = searcher.manifest.name, searcher.manifest
    files: list[tuple[str, str, Callable[[Path], object]]] = [
        (f"{name}.csv", "CSV", lambda path: told(every()).export(path)),
        (f"{name}.json", "JSON", lambda path: _json(SearchOutput.of(manifest, told(every())), path)),
        (f"{name}-ids.txt", "Ids", lambda path: _ids(every(), path)),
    ]
    if any(map(cards.is_image, results)):
        rows = [hit.row for hit in results]  # an offer outlives the run, and hits may hold images
        write = partial(_images_of, searcher, rows)
        files.append((f"{name}-images.zip", "Images (zip)", write))
    return Shared(
        files,
        spelled.command(searcher, query, options, where),
        spelled.python(searcher, query, options, where),
    )


def of_both(
    left: Index, right: Index, query: AnyQuery, options: SearchOptions, where: str, found: SideBySide
) -> Shared:
    """Return what can be taken along of the answers of two indexes; arguments as `of_search`."""
    one, other = left.manifest, right.manifest
    shown = replace(found, left=told(found.left), right=told(found.right))
    files: list[tuple[str, str, Callable[[Path], object]]] = [
        (f"{each.name}.csv", f"CSV of {url_state.short(each.name)}", hits.export)
        for each, hits in ((one, shown.left), (other, shown.right))
    ]
    return Shared(
        [
            *files,
            (
                f"{one.name}-{other.name}.json",
                "JSON of both",
                lambda path: _json(VersusOutput.of(one, other, shown), path),
            ),
        ],
        spelled.command(left, query, options, where, other.name),
        spelled.python(left, query, options, where, other.name),
    )


def show(searcher: Index, shared: Shared) -> None:
    """Show the menus; visitors from elsewhere get no commands, which name folders of this machine."""
    key = st.session_state.setdefault(VISITOR, downloads.visitor())
    now, name = url_state.parameters(), searcher.manifest.name
    offer = downloads.Offer({file: write for file, _, write in shared.files})
    at = downloads.addresses(key, offer)
    data = {
        "files": [[label, at[file]] for file, label, _ in shared.files],
        "commands": [["Command line", shared.command], ["Python", shared.python]] if may_build() else [],
        "search": urlencode({**now, "index": [name]}, doseq=True),
        "label": url_state.short(_said(searcher, now)),
        "index": " and ".join([name, *now.get("versus", ())[-1:]]),
    }
    _mount()(key=KEY, data=data, on_go_change=_go, width="content")


def told(results: Results) -> Results:
    """Return an answer as a visitor may save it: for one from elsewhere without paths of this machine.

    It has no bytes of images, as an offer of files outlives the run.
    """
    here = may_build()
    return replace(
        results, hits=[replace(hit, image=None, path=hit.path if here else None) for hit in results]
    )


def _go() -> None:
    """Ask what a remembered search asks."""
    said = st.session_state[KEY].get(GO)
    if isinstance(said, str):
        st.query_params.from_dict(parse_qs(said))


def _said(searcher: Index, now: dict[str, list[str]]) -> str:
    """Return what is asked in a few words, for the list of searches."""
    if item := now.get("item", [""])[-1]:
        return f"like {cards.title(searcher.item(item))}"
    terms = [f"{sign}{each}" for name, sign in (("plus", "+"), ("minus", "−")) for each in now.get(name, ())]
    text = " ".join([*now.get("q", ())[-1:], *terms]).strip()
    return text or ("an image" if now.get("image") else "a sound" if now.get("sound") else "terms")


def _json(output: Output, path: Path) -> None:
    path.write_text(json.dumps(output.printed(), ensure_ascii=False, indent=1), encoding="utf-8")


def _ids(results: Results, path: Path) -> None:
    path.write_text("".join(f"{hit.id}\n" for hit in results), encoding="utf-8")


def _images_of(searcher: Index, rows: Sequence[int], path: Path) -> None:
    _images(searcher.items(list(rows), [0.0] * len(rows)), path)


def _images(hits: Sequence[Hit], path: Path) -> None:
    """Write the files of the hits that are shown, named by their ranks; those that are gone are left out."""
    with zipfile.ZipFile(path, "w", strict_timestamps=False) as file:  # also of files from before 1980
        for hit in hits:
            source = hit.content
            name = f"{hit.rank:04} {Path(hit.path or hit.id).name}"
            if isinstance(source, bytes):
                file.writestr(name, source)
            elif isinstance(source, Path) and source.is_file():
                file.write(source, name)


@partial(st.cache_resource, show_spinner=False)
def _mount() -> Callable[..., Any]:
    script = asset("element.js", "share.js")
    return component(
        "embedsearch.share", html='<div class="es-share"></div>', js=script, isolate_styles=False
    )
