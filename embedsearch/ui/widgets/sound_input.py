"""The two ways to hand the page a sound: a file, and the microphone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from embedsearch.errors import ItemError
from embedsearch.ui.widgets import uploads
from embedsearch.ui.widgets.notes import report

TYPES = ["wav", "flac", "ogg", "oga", "opus", "mp3", "m4a", "aac", "aif", "aiff"]


def pick_sound(label: str, key: str, indexes: Path, on_kept: Callable[[str], None]) -> None:
    """Show an upload field, and a button that records.

    Args:
        label: what the sound is for.
        key: of the widgets.
        indexes: the folder of indexes, where the sound is kept.
        on_kept: called with the kept sound's name, see `uploads.keep_sound`.
    """
    # a new key empties the fields once their sound is kept, so that the address alone says what is asked
    turn = st.session_state.setdefault(f"{key}-turn", 0)
    fields = [f"{key}-{way}-{turn}" for way in ("file", "record")]

    def given(field: str) -> None:
        file = st.session_state[field]
        if file is None:
            return
        st.session_state[f"{key}-turn"] = turn + 1
        try:
            on_kept(uploads.keep_sound(file.getvalue(), indexes))
        except ItemError as error:
            report(f"{file.name or 'That'} can't be used: {error}.")
        except OSError as error:
            report(f"The sound can't be kept in {indexes / uploads.FOLDER}: {error.strerror}.")

    with st.container(horizontal=True, vertical_alignment="bottom", key=f"es-pick-{key}"):
        st.file_uploader(label, type=TYPES, key=fields[0], on_change=given, args=(fields[0],))
        st.audio_input("Or record one", key=fields[1], on_change=given, args=(fields[1],))
