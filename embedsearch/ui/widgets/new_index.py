"""Making a new index on the page: from a folder or a file of this machine, or from uploaded files."""

from __future__ import annotations

import base64
import html
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

import streamlit as st

from embedsearch.disk.paths import expanded
from embedsearch.errors import EmbedsearchError, IndexBusyError, ItemError, RecipeError, SourceError
from embedsearch.modalities import MODALITIES
from embedsearch.recipe import RECIPE_FILE, SourceRecipe, check_name
from embedsearch.records import Modality, Record, content_hash, content_of
from embedsearch.sources import WITH_COLUMNS, open_source
from embedsearch.sources.column_names import join_names
from embedsearch.sources.guess import FILE_KINDS, guess
from embedsearch.store.folders import is_published
from embedsearch.ui import jobs
from embedsearch.ui.widgets import job_panel, thumbnails
from embedsearch.ui.widgets.notes import literal, sentence, show_notices

INCOMING, KEPT = ".incoming", "uploaded"  # folders: before an index is built, and in the index's own
OLD = 86_400  # seconds that uploaded files wait to be built
MOST_FILES, MOST_BYTES = 2000, 500 * 2**20  # of one index
LISTED = 400  # entries of a folder that are offered
ROWS, CELL = 5, 70  # of a preview, and characters of a cell
SMALL = 8  # images of a preview
HERE, UPLOAD = "On this machine", "Upload"
HOW, PATH, LOOKED, NAME, WHAT, COLUMNS, ID, UNIT, MODEL, TURN = (
    f"new-{name}"
    for name in ("how", "path", "looked", "name", "what", "columns", "id", "unit", "model", "turn")
)
ONE = {Modality.IMAGE: "Images", Modality.SOUND: "Sounds", Modality.VECTOR: "Vectors"}
TEXTS, TABLE_ROWS = "Texts", "Whole rows"
OPTIONS = {"Images": "--image", "Sounds": "--sound", "Vectors": "--vectors"}
UNITS = {"text": "Each text", "word": "Each word in its sentence"}
HELP = {
    TEXTS: "The columns are joined, and what they say is compared.",
    TABLE_ROWS: "Rows are compared by their numbers, categories, dates and texts.",
}
ESTIMATED = ("csv", "jsonl", "lines")  # kinds whose records are counted by the size of the file
_UNSAFE = re.compile(r"[^\w.,()+@ -]")
_HEAVY = (Modality.IMAGE,)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a source holds, as far as it was looked at.

    Attributes:
        kind: of the source.
        count: how many records there are; None where that is not known.
        modality: what they are; None for a table whose columns must be chosen.
        columns: the columns of a table that can be chosen; empty for what is no table.
        texts: the columns that are embedded where none is chosen.
        rows: cells of the first rows by column.
        names: ids of the first records.
        images: the first images.
        passed_over: what is not read, by kind.
    """

    kind: str
    count: int | None
    modality: Modality | None
    columns: tuple[str, ...]
    texts: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    names: tuple[str, ...]
    images: tuple[bytes, ...]
    passed_over: dict[str, int]


def show(indexes: Path, *, busy: bool) -> None:
    """Show the form; while a job runs, nothing can be built."""
    turn = st.session_state.setdefault(TURN, 0)
    with st.container(border=True, key="es-new"):
        st.html('<h2 class="es-h">Add an index</h2>')
        how = st.segmented_control(
            "Where what you want to search is", [HERE, UPLOAD], default=HERE, key=HOW, required=True
        )
        location = _typed(turn) if how == HERE else _uploaded(indexes, turn)
        if not location:
            return
        try:
            with st.spinner("Looking inside …"):
                looked = look(location, _changed(Path(location)))
        except (EmbedsearchError, OSError) as error:
            st.warning(literal(sentence(str(error))), icon=":material/info:")
            return
        _settle(indexes, location, looked, turn, busy=busy)


def _typed(turn: int) -> str:
    """Let a person type a path, with what it can be completed to; return what to look into."""
    key = f"{PATH}-{turn}"
    now = st.session_state.get(key) or ""
    row = st.container(horizontal=True, vertical_alignment="bottom", key="es-path")
    with row:
        st.selectbox(
            "Folder or file",
            offered(now),
            index=None,
            key=key,
            accept_new_options=True,
            placeholder="Type a path, or choose a folder",
            help="Choosing a folder offers what is in it. Press Enter after a path that you typed.",
        )
        look = st.button("Look inside", icon=":material/folder_open:", disabled=not now, key="new-look")
    if look:
        st.session_state[LOOKED] = now
    asked = st.session_state.get(LOOKED, "")
    return str(expanded(asked).absolute()) if asked and asked == now else ""


def offered(path: str) -> list[str]:
    """Return paths to go on with: what is in the folder `path`, or beside what it names; what is hidden not.

    Args:
        path: as it was typed, perhaps only the beginning of one; empty for the home folder.
    """
    typed = expanded(path or "~")
    folder = typed if os.path.isdir(typed) else typed.parent  # noqa: PTH112  Path.is_dir raises on some
    found = [str(folder)] if path else []
    if folder.parent != folder and path:
        found.append(str(folder.parent))
    try:
        entries = sorted(folder.iterdir(), key=lambda each: (not each.is_dir(), each.name.casefold()))
    except OSError:
        entries = []
    for each in entries:
        suffix = each.name.lower().removesuffix(".gz")
        if each.name.startswith(".") or not (each.is_dir() or PurePosixPath(suffix).suffix in _READ):
            continue
        found.append(str(each))
        if len(found) == LISTED:
            break
    return list(dict.fromkeys([*([path] if path else []), *found]))


_READ = frozenset((*FILE_KINDS, ".zip", ".tar"))


def _uploaded(indexes: Path, turn: int) -> str:
    """Let a person upload files; return where they are kept."""
    size = int(st.get_option("server.maxUploadSize"))
    given = st.file_uploader(
        f"One table (CSV, JSON, JSONL, Parquet, Excel), one .zip, or many images, PDFs, sounds or texts; "
        f"up to {size} MB each",
        accept_multiple_files=True,
        key=f"new-files-{turn}",
    )
    if not given:
        return ""
    try:
        return str(keep([(file.name, file.getvalue()) for file in given], indexes))
    except SourceError as error:
        st.warning(literal(str(error)), icon=":material/info:")
    except OSError as error:
        st.warning(f"The files can't be kept: {error.strerror}.", icon=":material/info:")
    return ""


def keep(files: Sequence[tuple[str, bytes]], indexes: Path) -> Path:
    """Keep uploaded files until they are built; return the one file, or the folder of several.

    A name is a name only: what would lead elsewhere in it is dropped. Archives are not unpacked.

    Args:
        files: their names and contents.
        indexes: the folder of indexes.

    Raises:
        SourceError: they are too many, or too large.
        OSError: the folder can't be written.
    """
    if len(files) > MOST_FILES or sum(len(content) for _, content in files) > MOST_BYTES:
        raise SourceError(
            f"At most {MOST_FILES:,} files of {MOST_BYTES // 2**20} MB together can be uploaded. Put them "
            "into a folder of the machine, and give that."
        )
    root = indexes / INCOMING
    known = content_hash("\n".join(f"{name} {content_hash(content)}" for name, content in files))[:16]
    folder = root / known
    names = safe_names(name for name, _ in files)
    if not folder.is_dir():
        _clear(root)
        aside = root / f".{known}-{time.monotonic_ns()}"
        aside.mkdir(parents=True)
        for name, (_, content) in zip(names, files, strict=True):
            (aside / name).write_bytes(content)
        with suppress(OSError):  # another session was quicker
            aside.replace(folder)
    alone = PurePosixPath(names[0].lower().removesuffix(".gz")).suffix in _READ - {".txt"}
    return folder / names[0] if len(names) == 1 and alone else folder


def safe_names(names: Iterable[str]) -> list[str]:
    """Return names of files that stay in their folder, each once, from names that a browser sent."""
    safe: dict[str, str] = {}
    times: Counter[str] = Counter()
    for name in names:
        last = _UNSAFE.sub("_", PurePosixPath(name.replace("\\", "/")).name).strip(" .")[-120:].lstrip(" .")
        last = last or "file"
        free = last
        while free.casefold() in safe:  # a file may itself be called "2-" and a name
            times[last.casefold()] += 1
            free = f"{times[last.casefold()] + 1}-{last}"
        safe[free.casefold()] = free
    return list(safe.values())


def _clear(root: Path) -> None:
    """Delete what was uploaded over a day ago and never built."""
    with suppress(OSError):
        for old in root.iterdir():
            if time.time() - old.stat().st_mtime > OLD:
                shutil.rmtree(old, ignore_errors=True)


def _changed(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0


@st.cache_data(max_entries=20, show_spinner=False)
def look(location: str, changed: int) -> Looked:  # noqa: ARG001  it makes the cache's key
    """Return what a source holds.

    Raises:
        SourceNotFoundError, SourceError, MissingExtraError: as `embedsearch.sources.open_source`.
    """
    kind, place = guess(location)
    recipe = SourceRecipe(kind, place)
    if kind in WITH_COLUMNS:
        return _look_at_table(recipe)
    source = open_source(recipe)
    first = [each for each in islice(source, SMALL) if isinstance(each, Record)]
    modality = source.modality()
    images = [_small(each) for each in first] if modality in _HEAVY else []
    rows = [{"text": _text(each)} for each in first[:ROWS] if modality is Modality.TEXT]
    return Looked(
        kind,
        source.count(),
        modality,
        (),
        (),
        tuple(row for row in rows if row["text"]),
        tuple(each.id for each in first),
        tuple(each for each in images if each),
        dict(source.passed_over()),
    )


def _look_at_table(recipe: SourceRecipe) -> Looked:
    """Return what a table holds: its columns come as fields where its rows are read as they are."""
    try:
        whole = open_source(replace(recipe, rows=True))
        first = [each for each in islice(whole, ROWS) if isinstance(each, Record)]
    except SourceError:  # none of its columns is a number, a category, a date or a text
        whole, first = open_source(recipe), []
    columns = tuple(dict.fromkeys(name for each in first for name in each.fields))
    rows = tuple({name: _cell(each.fields.get(name)) for name in columns} for each in first)
    modality = None
    texts: tuple[str, ...] = ()
    images: tuple[bytes, ...] = ()
    try:
        plain = open_source(recipe)
        modality = plain.modality()
        chosen = [each for each in islice(plain, SMALL) if isinstance(each, Record)]
    except SourceError:  # its columns don't tell which one is meant
        chosen = []
    if chosen and modality is Modality.TEXT:
        texts = tuple(name for name in columns if name not in chosen[0].fields)
    if chosen and modality in _HEAVY:
        images = tuple(each for each in map(_small, chosen) if each)
    return Looked(
        recipe.kind,
        whole.count(),
        modality,
        columns,
        texts or _longest(first, columns),
        rows,
        tuple(each.id for each in first),
        images,
        dict(whole.passed_over()),
    )


def _longest(first: Sequence[Record], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the column with the longest texts."""
    sizes = {name: sum(len(str(each.fields.get(name) or "")) for each in first) for name in columns}
    return (max(sizes, key=sizes.__getitem__),) if sizes else ()


def _small(record: Record) -> bytes:
    with suppress(ItemError, OSError, ValueError):
        raw = content_of(record)
        if isinstance(raw, Path):
            return thumbnails.of_file(str(raw)) or b""
        if isinstance(raw, bytes):
            return thumbnails.of_bytes(raw) or b""
    return b""


def _text(record: Record) -> str:
    """Return the beginning of the text of a record; empty where it can't be read."""
    with suppress(ItemError, OSError):
        return _cell(content_of(record))
    return ""


def _cell(value: object) -> str:
    if value is None or isinstance(value, bytes | Path):
        return ""
    text = " ".join(str(value).split())
    return text if len(text) <= CELL else text[: CELL - 1].rstrip() + "…"


def _settle(indexes: Path, location: str, looked: Looked, turn: int, *, busy: bool) -> None:
    """Show what was found, let a person choose what to embed and a name, and offer to build."""
    st.html(f'<p class="es-announced es-found">{_found(looked)}</p>')
    key = f"{content_hash(location)[:8]}-{turn}"
    arguments: list[str] = []
    chosen: tuple[str, ...] = ()
    if looked.columns:
        arguments, chosen = _columns(looked, key)
    st.html(_preview(looked, chosen))
    unit = ""
    if looked.modality is Modality.TEXT or "--text" in [each.partition("=")[0] for each in arguments]:
        unit = st.segmented_control(
            "What gets a vector",
            list(UNITS),
            default="text",
            format_func=UNITS.__getitem__,
            key=f"{UNIT}-{key}",
            required=True,
        )
        arguments += [f"--unit={unit}"] if unit == "word" else []
    with st.container(horizontal=True, vertical_alignment="bottom", key="es-name"):
        name = st.text_input("Name", _slug(location), key=f"{NAME}-{key}", max_chars=100)
        model = st.text_input(
            "Model",
            key=f"{MODEL}-{key}",
            placeholder=_usual(looked),
            help="A name from `embedsearch models`, a hub id, or a folder. Empty for the bundled one.",
        )
        arguments += [f"--model={model.strip()}"] if model.strip() else []
        lacks = bool(looked.columns) and not chosen and looked.modality not in ONE
        asked = st.button(
            "Build the index",
            icon=":material/construction:",
            type="primary",
            key="new-build",
            disabled=busy or lacks or not name.strip(),
            help="Another job is running" if busy else None,
        )
    # not in a callback, which would get the name as it was before the click
    if asked and _build(indexes, location, name.strip(), arguments):
        st.session_state[TURN] += 1  # new keys empty the form
        st.session_state.pop(LOOKED, None)
        st.rerun()


def _usual(looked: Looked) -> str:
    return MODALITIES[looked.modality or Modality.TEXT].default_model or "none: the vectors are there"


def _found(looked: Looked) -> str:
    """Return the HTML of what was found."""
    what = "rows" if looked.columns else _called(looked)
    about = "about " if looked.kind in ESTIMATED else ""
    count = "" if looked.count is None else f"{about}{looked.count:,} "
    said = f"<b>{count[:1].upper()}{count[1:]}{what}</b>"
    if looked.columns:
        said += f" of {len(looked.columns)} columns"
    if looked.passed_over:
        kinds = sorted(looked.passed_over.items(), key=lambda each: -each[1])[:6]
        listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds)
        said += f'<br><span class="es-quiet">Passed over, as these are not read: {html.escape(listed)}</span>'
    return said


def _called(looked: Looked) -> str:
    names = {"lines": "lines", "images": "images", "videos": "videos", "sounds": "sounds"}
    return names.get(looked.kind, "documents" if looked.kind == "documents" else "records")


def _columns(looked: Looked, key: str) -> tuple[list[str], tuple[str, ...]]:
    """Let a person choose columns; return the options of `build`, and which columns are embedded."""
    own = ONE.get(looked.modality) if looked.modality else None
    kinds = list(dict.fromkeys([*([own] if own else []), TEXTS, TABLE_ROWS, "Images"]))
    what = st.segmented_control(
        "What to compare", kinds, default=kinds[0], key=f"{WHAT}-{key}", required=True
    )
    assert what is not None  # it is required
    arguments: list[str] = []
    chosen: tuple[str, ...] = ()
    with st.container(horizontal=True, key="es-columns"):
        if what in HELP:
            usual = list(looked.texts if what == TEXTS else looked.columns)
            chosen = tuple(
                st.multiselect(
                    "Columns", looked.columns, usual, key=f"{COLUMNS}-{what}-{key}", help=HELP[what]
                )
            )
            if what == TEXTS:
                arguments = [f"--text={name}" for name in chosen]
            else:
                arguments = ["--rows", f"--columns={join_names(chosen)}"]
        elif what != own:
            column = st.selectbox(
                "Column of paths", looked.columns, index=None, key=f"{COLUMNS}-{what}-{key}"
            )
            chosen = (column,) if column else ()
            arguments = [f"{OPTIONS[what]}={name}" for name in chosen]
        column = st.selectbox(
            "Key",
            looked.columns,
            index=next((at for at, each in enumerate(looked.columns) if each.casefold() == "id"), None),
            key=f"{ID}-{key}",
            placeholder="None: a hash of the content",
            help="The column that tells rows apart, so that a rebuild knows which one has changed.",
        )
        if column and column not in chosen:
            arguments.append(f"--id={column}")
        elif column and what == TABLE_ROWS:
            kept = tuple(name for name in chosen if name != column)
            arguments = ["--rows", f"--columns={join_names(kept)}", f"--id={column}"]
    return arguments, chosen


def _preview(looked: Looked, chosen: Sequence[str]) -> str:
    """Return the HTML of the first records."""
    images = "".join(
        f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(each).decode()}">'
        for each in looked.images
    )
    parts = f'<div class="es-strip">{images}</div>' if images else ""
    columns = looked.columns or (("text",) if looked.rows else ())
    if columns:
        head = "".join(
            f'<th scope="col"{" class=es-chosen" if name in chosen else ""}>{html.escape(name)}</th>'
            for name in columns
        )
        body = "".join(
            "<tr>"
            + "".join(
                f"<td{' class=es-chosen' if name in chosen else ''}>{html.escape(row.get(name, ''))}</td>"
                for name in columns
            )
            + "</tr>"
            for row in looked.rows
        )
        parts += (
            '<div class="es-scroll" tabindex="0" role="region" aria-label="The first rows">'
            f'<table class="es-preview"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )
    elif not images:
        listed = "".join(f"<li>{html.escape(name)}</li>" for name in looked.names[:ROWS])
        parts += f'<ul class="es-names">{listed}</ul>'
    return parts


def _slug(location: str) -> str:
    """Return a name for an index, from a path."""
    path = Path(location)
    stem = path.name.split(".")[0] if path.suffix else path.name
    if path.parent.name == INCOMING:
        stem = "uploaded"
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_").lower()[:60] or "mine"


def _build(indexes: Path, location: str, name: str, arguments: Sequence[str]) -> bool:
    """Start to build; return whether it was started. What prevents it is shown."""
    try:
        folder = indexes / check_name(name)
        if is_published(folder) or (folder / RECIPE_FILE).is_file():
            raise RecipeError(
                f"There is an index {name} already. Choose another name, or remove that one first."
            )
        jobs.check_none_runs(indexes)  # before files are moved, where another session has just begun
    except (RecipeError, IndexBusyError) as error:
        st.warning(literal(str(error)), icon=":material/info:")
        return False
    if not job_panel.may_build():
        return False
    source = Path(location)
    if indexes / INCOMING in source.parents:
        kept = next(each for each in (source, *source.parents) if each.parent == indexes / INCOMING)
        target = folder / KEPT
        try:
            shutil.rmtree(target, ignore_errors=True)  # of a build that never began
            folder.mkdir(parents=True, exist_ok=True)
            kept.replace(target)
        except OSError as error:
            st.warning(f"The uploaded files can't be kept: {error.strerror}. Upload them again.")
            return False
        source = target / source.relative_to(kept)
    if job_panel.begin(indexes, f"Build {name}", name, ["build", str(source), f"--name={name}", *arguments]):
        return True
    show_notices()
    return False
