"""The two ways to hand the page an image: a file, and the clipboard."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.components.v2 import component

from embedsearch.errors import ItemError
from embedsearch.sources.image_files import image_suffixes
from embedsearch.ui import asset
from embedsearch.ui.widgets import uploads
from embedsearch.ui.widgets.notes import report

LIMIT = 12_000_000  # bytes; as text they stay below Streamlit's limit for a widget's value
_STYLE = """
button {
  min-height: 2.5rem; padding: .2rem .8rem; line-height: 1.3; white-space: nowrap;
  cursor: pointer; font: inherit; color: inherit; background: transparent;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius);
}
button:hover, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-primary-color); }
div { max-width: 14rem; font-size: .85rem; padding-top: .3rem; }
div:empty { display: none; }
"""


def pick_image(
    label: str,
    key: str,
    indexes: Path,
    on_kept: Callable[[str], None],
    *,
    listen: bool,
    many: bool = False,
) -> None:
    """Show an upload field and a paste button.

    Args:
        label: what the image is for.
        key: of the widgets.
        indexes: the folder of indexes, where the image is kept.
        on_kept: called with each kept image's name, see `uploads.keep`.
        listen: whether an image pasted anywhere on the page is meant for this.
        many: whether several files can be chosen at once.
    """
    # A new key empties the field once its image is kept, so that the address alone says what is asked.
    turn = st.session_state.setdefault(f"{key}-turn", 0)
    field = f"{key}-{turn}"
    paste = f"{key}-paste"
    # The browser may send the files of the emptied field again, with the same ids.
    taken: set[str] = st.session_state.setdefault(f"{key}-taken", set())

    def take(image: bytes | None, name: str = "") -> None:
        if image is None:
            return
        st.session_state[f"{key}-turn"] = turn + 1
        try:
            on_kept(uploads.keep(image, indexes))
        except ItemError as error:
            report(f"{name or 'That'} can't be used: {error}.")
        except OSError as error:
            report(f"The image can't be kept in {indexes / uploads.FOLDER}: {error.strerror}.")

    def uploaded() -> None:
        chosen = st.session_state[field]
        for file in chosen if many else [chosen]:
            if file and file.file_id not in taken:
                taken.add(file.file_id)
                take(file.getvalue(), file.name)

    def pasted() -> None:
        take(_decoded(st.session_state[paste].get("pasted")))

    types = sorted(suffix[1:] for suffix in image_suffixes())
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"es-pick-{key}"):
        st.file_uploader(
            label,
            type=types,
            key=field,
            on_change=uploaded,
            accept_multiple_files=many,
            max_upload_size=uploads.MOST,
        )
        _mount()(key=paste, data={"limit": LIMIT, "listen": listen}, on_pasted_change=pasted, width="content")


@partial(st.cache_resource, show_spinner=False)
def _mount() -> Callable[..., object]:
    return component(
        "embedsearch.paste",
        html='<button type="button" title="Ctrl+V">Paste</button><div role="status"></div>',
        css=_STYLE,
        js=asset("paste.js"),
    )


def _decoded(address: object) -> bytes | None:
    """Return the bytes of a `data:` address."""
    if not isinstance(address, str):
        return None
    try:
        return base64.b64decode(address.partition(",")[2], validate=True)
    except binascii.Error:
        return b""  # which no image is: the message says so
