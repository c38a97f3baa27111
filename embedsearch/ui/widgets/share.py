"""What a visitor takes along: hits as files, the question as a link, a command or Python, and searches."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import streamlit as st
from streamlit.components.v2 import component

from embedsearch.index import Index
from embedsearch.query import AnyQuery, SearchOptions
from embedsearch.results import Hit, Results
from embedsearch.serve.schemas import SearchOutput
from embedsearch.ui import ASSETS, downloads, url_state
from embedsearch.ui.widgets import cards, spelled

KEY, GO, VISITOR = "search-share", "go", "search-visitor"


def show(
    searcher: Index,
    query: AnyQuery,
    options: SearchOptions,
    where: str,
    results: Results,
    every: Callable[[], Results],
) -> None:
    """Show the menus.

    Args:
        searcher: the index.
        query: what is asked.
        options: how the hits are chosen.
        where: the filter as text; empty for none.
        results: what was found.
        every: finds all that the files hold.
    """
    name = searcher.manifest.name
    files: dict[str, Callable[[Path], object]] = {
        f"{name}.csv": lambda path: every().export(path),
        f"{name}.json": lambda path: _json(searcher, every(), path),
        f"{name}-ids.txt": lambda path: _ids(every(), path),
    }
    if any(map(cards.is_image, results)):
        rows = [hit.row for hit in results]  # an offer outlives the run, and hits may hold images
        files[f"{name}-images.zip"] = lambda path: _images(searcher.items(rows, [0.0] * len(rows)), path)
    key = st.session_state.setdefault(VISITOR, downloads.visitor())
    now = url_state.parameters()
    data = {
        "files": [
            [_label(each), at] for each, at in downloads.addresses(key, downloads.Offer(files)).items()
        ],
        "command": spelled.command(searcher, query, options, where),
        "python": spelled.python(searcher, query, options, where),
        "search": urlencode({**now, "index": [name]}, doseq=True),
        "label": url_state.short(_said(searcher, now)),
        "index": name,
    }
    _mount()(key=KEY, data=data, on_go_change=_go, width="content")


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


def _label(file: str) -> str:
    return {"csv": "CSV", "json": "JSON", "txt": "Ids", "zip": "Images (zip)"}[file.rpartition(".")[2]]


def _json(searcher: Index, results: Results, path: Path) -> None:
    said = SearchOutput.of(searcher.manifest, results).printed()
    path.write_text(json.dumps(said, ensure_ascii=False, indent=1), encoding="utf-8")


def _ids(results: Results, path: Path) -> None:
    path.write_text("".join(f"{hit.id}\n" for hit in results), encoding="utf-8")


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
    script = (ASSETS / "share.js").read_text(encoding="utf-8")
    return component(
        "embedsearch.share", html='<div class="es-share"></div>', js=script, isolate_styles=False
    )
