"""Text that a person or a source wrote, shown as text; and errors shown as sentences."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from embedsearch.errors import EmbedsearchError, ItemError, NotFoundError, UsageError

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$^=&])")
_SHORTCODE = re.compile(r":(?=[\w+-]+[:\[])")
_NOTICE = "notice"
_log = logging.getLogger("embedsearch.ui")


def literal(text: str) -> str:
    """Return `text` as Markdown that Streamlit shows as it is, on one line.

    Streamlit turns `:smile:` into an image even behind a backslash, so an invisible word joiner
    breaks such names.
    """
    return _SHORTCODE.sub(":\u2060", _PUNCTUATION.sub(r"\\\1", " ".join(text.split())))


@contextmanager
def calm() -> Iterator[None]:
    """Show an error as a sentence; an unexpected one goes to the terminal in full."""
    try:
        yield
    except ItemError as error:
        st.warning(literal(sentence(str(error))), icon=":material/info:")
    except (UsageError, NotFoundError) as error:
        st.warning(literal(str(error)), icon=":material/info:")
    except EmbedsearchError as error:
        st.error(literal(str(error)), icon=":material/error:")
    except Exception:
        _log.exception("The page could not be shown")
        st.error(
            "Something unexpected went wrong. The terminal that runs this page shows what.",
            icon=":material/error:",
        )


def gone(item: str) -> str:
    """Return a sentence about an item that an address names and the index lacks."""
    return f"There is no item {item!r:.80} in this index any more."


def sentence(reason: str) -> str:
    """Return the reason of an `ItemError`, a part of a sentence, as a whole sentence."""
    reason = reason.strip()
    return f"{reason[:1].upper()}{reason[1:]}{'' if reason.endswith(('.', '!', '?')) else '.'}"


def report(text: str) -> None:
    """Have the next run of the page show a sentence; callbacks can't show anything themselves."""
    st.session_state[_NOTICE] = (*st.session_state.get(_NOTICE, ()), text)


def show_notices(problems: tuple[str, ...] = ()) -> None:
    """Show the sentences of callbacks, and `problems`."""
    sentences = tuple(dict.fromkeys((*st.session_state.pop(_NOTICE, ()), *problems)))
    if sentences:
        st.warning("\n\n".join(literal(each) for each in sentences), icon=":material/info:")
