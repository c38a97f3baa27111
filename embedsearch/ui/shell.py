"""The server around the page: its HTML is Streamlit's own, with the style sheet in it, so that nothing moves.

Streamlit compares the origin of a websocket from another page with this machine's addresses, and asks a web
service for the outer one. Which hosts the page answers to is named by `server.allowedHosts`, so neither
address is needed, and neither is asked for.
"""

from __future__ import annotations

import asyncio
import html
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse
from streamlit import App, net_util

from embedsearch.ui import asset, downloads, map_files, media
from embedsearch.ui.pages import FORMER, PAGES


def _unknown_address() -> None:
    """Take the place of what looks up an address of this machine."""


net_util.get_external_ip = net_util.get_internal_ip = _unknown_address

SOON = 0.5  # seconds until the server listens
PATHS = {f"/{row.path}" for row in PAGES} | {f"/{FORMER}"}
# scripts of every page, each of these files
SCRIPTS = (
    ("ready.js",), ("video.js",), ("element.js", "lightbox.js"), ("element.js", "crop.js"), ("keys.js",),
)  # fmt: skip
_STATIC = Path(st.__file__).with_name("static")
# Streamlit loads the code of each kind of element when the first one is drawn, which then changes its height.
_ELEMENTS = (
    "BidiComponent", "Button", "ButtonGroup", "FileUploader", "Html", "ImageList", "Multiselect", "PageLink",
    "Selectbox", "Slider", "TextArea", "TextInput",
)  # fmt: skip


class Shell:
    """An ASGI middleware that answers a browser which opens an address, or plays a file.

    All else goes to Streamlit.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer with the page, or with status 404 where the address names none."""
        answer = self.app
        base = "/" + str(st.get_option("server.baseUrlPath")).strip("/")
        path = "/" + scope.get("path", "").removeprefix(base).lstrip("/")
        if scope["type"] == "http" and path.startswith(media.PATH):
            answer = await media.answer(path)
        elif scope["type"] == "http" and path.startswith(downloads.PATH):
            answer = await downloads.answer(path)
        elif scope["type"] == "http" and path.startswith(map_files.PATH):
            answer = await map_files.answer(path)
        elif scope["type"] == "http" and _opens(scope):
            if path in PATHS:
                answer = HTMLResponse(_page(), headers={"Cache-Control": "no-cache"})
            elif not path.endswith("/"):  # which Streamlit takes away
                answer = HTMLResponse(_missing(path, base), status_code=404)
        await answer(scope, receive, send)


MIDDLEWARE = [Middleware(Shell)]


@asynccontextmanager
async def opens_browser(_app: App) -> AsyncIterator[None]:
    """Open the page in a browser when the server starts, unless `server.headless` says otherwise."""
    if not st.get_option("server.headless"):
        address = f"http://{st.get_option('server.address') or 'localhost'}:{st.get_option('server.port')}"
        asyncio.get_running_loop().call_later(SOON, webbrowser.open, address)
    yield


def _opens(scope: Any) -> bool:
    """Whether a browser opens an address, and does not fetch what belongs to a page."""
    accepted = dict(scope["headers"]).get(b"accept", b"")
    return bool(scope["method"] == "GET" and accepted.startswith(b"text/html"))


@cache
def _page() -> str:
    scripts = [asset(*names) for names in SCRIPTS]
    files = sorted((_STATIC / "static" / "js").glob("*.js"))
    wanted = (file.name for file in files if file.name.partition(".")[0] in _ELEMENTS)
    links = "".join(f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in wanted)
    page = (_STATIC / "index.html").read_text(encoding="utf-8")
    page = page.replace("<title>Streamlit</title>", "<title>embedsearch</title>")
    # behind the sheets that Streamlit puts into the head, so that of two equal rules this one holds
    ours = f"<style>{asset('nav.css', 'style.css')}</style>"
    ours += "".join(f'<script type="module">{script}</script>' for script in scripts)
    return page.replace("</head>", f"{links}</head>").replace("</body>", f"{ours}</body>")


def _missing(path: str, base: str) -> str:
    links = "".join(
        f'<li><a href="{html.escape(base.rstrip("/"))}/{row.path}">{row.title}</a></li>' for row in PAGES
    )
    text = asset("missing.html")
    return text.replace("{path}", html.escape(path)).replace("{links}", links)
