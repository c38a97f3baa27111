"""Addresses of files on this machine, as in `file:///home/ada/a%20b.png`."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

LOCAL = ("", "localhost")


def is_file_url(name: str) -> bool:
    """Whether a name is an address that begins with `file:`."""
    return name[:5].casefold() == "file:"


def path_in(url: str) -> str | None:
    """Return the path that an address of a file names; None for a file on another machine."""
    address = urlsplit(url)
    return unquote(address.path) if address.netloc in LOCAL else None
