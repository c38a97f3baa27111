"""The Indexes page: what there is to search, and all that can be done to it."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from embedsearch.artifacts.scale import LEAST_BACKGROUND
from embedsearch.errors import EmbedsearchError
from embedsearch.maps.inputs import Method
from embedsearch.maps.layouts.umap import is_installed
from embedsearch.modalities import Card, modality_of
from embedsearch.store.folders import (
    current_id,
    index_folder,
    indexes_folder,
    unfinished_names,
    why_stopped,
)
from embedsearch.store.manifest import BUILDS, Manifest
from embedsearch.ui import auto_reload, navigation
from embedsearch.ui.cached import manifests
from embedsearch.ui.pages import SEARCH
from embedsearch.ui.widgets import first_start, index_card, job_panel, new_index
from embedsearch.ui.widgets.notes import calm, literal, show_notices

REBUILD, CALIBRATE, ALIGN, MAPS, BACK, REMOVE = (
    "Rebuild", "Calibrate", "Align", "Map", "Roll back", "Remove",
)  # fmt: skip
VERB = "manage-verb"
GIVEN = "given"  # in an index's folder: what was given to calibrate or align it


def indexes_page() -> None:
    """Show the page."""
    indexes = indexes_folder()
    with calm():
        st.html('<h1 class="es-h">Indexes</h1>')
        show_notices()
        busy = job_panel.show(indexes) is not None
        allowed = job_panel.may_build()
        known = manifests(indexes)
        if not allowed:
            st.html(
                '<p class="es-quiet">This page is open to others, so indexes can only be looked at here. '
                "<code>embedsearch ui --allow-build</code> lets its visitors build and remove them.</p>"
            )
        with st.container(key="es-indexes"):
            for name, manifest in known.items():
                with st.container(border=True, key=f"es-of-{name}"):
                    _index(indexes, name, manifest, allowed=allowed, busy=busy)
            for name in unfinished_names(indexes):
                with st.container(border=True, key=f"es-of-{name}"):
                    _unfinished(indexes, name, allowed=allowed, busy=busy)
        if allowed:
            if not known and not busy:
                first_start.offer_demo(indexes)
            new_index.show(indexes, busy=busy)


def _unfinished(indexes: Path, name: str, *, allowed: bool, busy: bool) -> None:
    why = why_stopped(indexes / name) if allowed else ""
    told = why or "Its first build is under way, or was interrupted. The work so far is kept."
    st.html(
        f'<div class="es-index"><div class="es-index-head"><h2>{html.escape(name)}</h2>'
        f'<span class="es-badge">not finished</span></div><p class="es-quiet">{html.escape(told)}</p></div>'
    )
    if not allowed or busy:
        return
    with st.container(horizontal=True, key=f"es-do-{name}"):
        _job(indexes, f"Build {name}", name, ["rebuild", name], "Resume", ":material/refresh:")
        _job(indexes, f"Remove {name}", name, ["remove", name, "--yes"], "Remove", ":material/delete:")


def _index(indexes: Path, name: str, manifest: Manifest | None, *, allowed: bool, busy: bool) -> None:
    folder = indexes / name
    if manifest is None:
        _damaged(indexes, name, allowed=allowed, busy=busy)
        return
    build = folder / BUILDS / manifest.build
    try:
        st.html(index_card.body(name, manifest, build, folder, paths=allowed))
    except EmbedsearchError as error:
        st.html(f'<h2 class="es-h">{html.escape(name)}</h2>')
        st.error(literal(str(error)), icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"es-do-{name}"):
        navigation.link(SEARCH.path, f"Search {literal(name)}", SEARCH.icon, {"index": [name]})
        if not allowed:
            return
        _job(
            indexes,
            f"Rebuild {name}",
            name,
            ["rebuild", name],
            "Rebuild",
            ":material/sync:",
            help=f"Read the source of {name} again, and embed what is new or changed",
            disabled=busy,
        )
        if st.button(
            "Manage",
            icon=":material/tune:",
            type="tertiary",
            key=f"manage-{name}",
            help=f"Calibrate, align, map, roll back or remove {name}",
        ):
            auto_reload.hold()
            _manage(indexes, name, manifest, busy)


def _damaged(indexes: Path, name: str, *, allowed: bool, busy: bool) -> None:
    st.html(f'<div class="es-index"><div class="es-index-head"><h2>{html.escape(name)}</h2></div></div>')
    st.error("Its current build is damaged. Go back to the one before, or build it again.")
    if allowed:
        with st.container(horizontal=True, key=f"es-do-{name}"):
            _job(indexes, f"Roll back {name}", name, ["rollback", name], BACK, None, disabled=busy)
            _job(indexes, f"Rebuild {name}", name, ["rebuild", name], REBUILD, None, disabled=busy)
            _job(indexes, f"Remove {name}", name, ["remove", name, "--yes"], REMOVE, None, disabled=busy)


def _job(
    indexes: Path,
    title: str,
    index: str,
    command: list[str],
    label: str,
    icon: str | None,
    *,
    help: str = "",
    disabled: bool = False,
) -> None:
    """Show a button that starts a job."""
    st.button(
        label,
        icon=icon,
        type="tertiary",
        key=f"do-{label}-{index}",
        on_click=job_panel.start,
        args=(indexes, title, index, command),
        help=help or f"{label} {index}",
        disabled=disabled,
    )


@st.dialog("Manage an index", width="medium")
def _manage(indexes: Path, name: str, manifest: Manifest, busy: bool) -> None:
    """Show what can be done to an index besides; one at a time."""
    st.html(f'<p class="es-about"><b>{html.escape(name)}</b></p>')
    verbs: dict[str, Callable[[], list[str] | None]] = {
        REBUILD: partial(_rebuild, name),
        CALIBRATE: partial(_calibrate, indexes, name),
        **({ALIGN: partial(_align, indexes, name)} if _has_images(manifest) else {}),
        MAPS: partial(_map, name),
        BACK: partial(_roll_back, indexes, name),
        REMOVE: partial(_remove, name),
    }
    verb = st.segmented_control(
        "What to do", list(verbs), default=CALIBRATE, key=f"{VERB}-{name}", required=True
    )
    assert verb is not None  # it is required
    command = verbs[verb]()
    if busy:
        st.html('<p class="es-quiet">Another job is running. Wait for it, or stop it.</p>')
    asked = st.button(
        f"{verb} {name}",
        type="primary",
        key=f"manage-go-{name}",
        disabled=busy or command is None,
    )
    # not in a callback, which would get what was typed before the click
    if asked and command is not None:
        job_panel.begin(indexes, f"{verb} {name}", name, command)
        st.rerun()


def _has_images(manifest: Manifest) -> bool:
    return modality_of(manifest.unit).card is Card.IMAGE


def _rebuild(name: str) -> list[str]:
    st.html(
        '<p class="es-quiet">The source is read again, and what is new or changed is embedded. Searches go '
        "on in the current build meanwhile.</p>"
    )
    full = st.checkbox("Embed everything again", key=f"manage-full-{name}")
    gone = st.checkbox(
        "Even if more than a fifth of the records are gone from the source", key=f"manage-gone-{name}"
    )
    return ["rebuild", name, *["--full"] * full, *["--allow-removal"] * gone]


def _calibrate(indexes: Path, name: str) -> list[str]:
    st.html(
        '<p class="es-quiet">Random pairs are measured, so that each distance has a word and a percentile, '
        "and unrelated queries, so that an answer can say that nothing here is close.</p>"
    )
    foreign = st.text_area(
        f"Unrelated queries, one a line, at least {LEAST_BACKGROUND} (optional)",
        key=f"manage-foreign-{name}",
        placeholder="What nobody would look for in this index",
        max_chars=200_000,
    )
    path = _given(indexes, name, "unrelated.txt", foreign)
    return ["calibrate", name, *([f"--foreign={path}"] if path else [])]


def _align(indexes: Path, name: str) -> list[str]:
    st.html(
        '<p class="es-quiet">Images are fitted to captions, so that texts find them better. Without a table, '
        "the captions in a field of the index are used.</p>"
    )
    file = st.file_uploader(
        "A table with the columns image and caption (optional)",
        type=["csv", "tsv", "jsonl"],
        key=f"manage-captions-{name}",
    )
    field = st.text_input("Field with captions", "caption", key=f"manage-field-{name}")
    if file is None:
        return ["align", name, f"--field={field}"]
    suffix = Path(file.name).suffix.lower()
    path = _given(indexes, name, f"captions{suffix}", file.getvalue())
    return ["align", name, f"--captions={path}"]


def _given(indexes: Path, name: str, file: str, content: str | bytes) -> Path | None:
    """Keep what was given for a job in the index's folder; return the file, None for nothing."""
    raw = content.encode() if isinstance(content, str) else content
    if not raw.strip():
        return None
    folder = index_folder(indexes, name) / GIVEN
    folder.mkdir(exist_ok=True)
    (folder / file).write_bytes(raw)
    return folder / file


def _map(name: str) -> list[str]:
    st.html(
        '<p class="es-quiet">Every item gets a place in two dimensions. UMAP keeps far more neighbours '
        "together than PCA.</p>"
    )
    methods = [Method.UMAP, Method.PCA] if is_installed() else [Method.PCA]
    method = st.segmented_control(
        "Method",
        methods,
        default=methods[0],
        format_func=str.upper,
        key=f"manage-method-{name}",
        required=True,
    )
    if not is_installed():
        st.html("<p class=\"es-quiet\">For UMAP: <code>pip install 'embedsearch[umap]'</code></p>")
    return ["map", name, f"--method={method}"]


def _roll_back(indexes: Path, name: str) -> list[str] | None:
    folder = indexes / name
    current = current_id(folder)
    builds = {each.build: each for each in index_card.builds(folder) if each.build != current}
    if not builds:
        st.html('<p class="es-quiet">There is no other build to go back to.</p>')
        return None

    def label(build: str) -> str:
        return f"{index_card.date(builds[build].created)}, {builds[build].count:,} vectors"

    chosen = st.radio("The build to make current", list(builds), format_func=label, key=f"manage-to-{name}")
    return ["rollback", name, f"--to={chosen}"]


def _remove(name: str) -> list[str] | None:
    st.html(
        '<p class="es-quiet">The index is deleted with all its builds, and files that were uploaded for it. '
        "A folder or a table that it was made from is not touched.</p>"
    )
    sure = st.checkbox(f"Yes, delete {literal(name)}", key=f"manage-sure-{name}")
    return ["remove", name, "--yes"] if sure else None
