"""The pages, one a file, and its row in `PAGES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast


@dataclass(frozen=True, slots=True)
class PageRow:
    """A page.

    Attributes:
        path: as in the address; empty for the first page.
        title: as the links call it.
        icon: beside the title. It is not the icon that Streamlit knows, which the browser would fetch from
            another host.
        function: "module:function" that draws it, imported when the page is shown.
    """

    path: str
    title: str
    icon: str
    function: str

    def draw(self) -> None:
        """Draw the page."""
        module, name = self.function.split(":")
        cast(Callable[[], None], getattr(import_module(module), name))()


_ROOM = "embedsearch.ui.pages"
SEARCH = PageRow("", "Search", ":material/search:", f"{_ROOM}.search:search_page")
RELATEDNESS = PageRow(
    "relatedness", "Relatedness", ":material/compare_arrows:", f"{_ROOM}.relatedness:relatedness_page"
)
MAP = PageRow("map", "Map", ":material/scatter_plot:", f"{_ROOM}.map:map_page")
DUPLICATES = PageRow(
    "duplicates", "Duplicates", ":material/content_copy:", f"{_ROOM}.duplicates:duplicates_page"
)
INDEXES = PageRow("indexes", "Indexes", ":material/database:", f"{_ROOM}.indexes:indexes_page")
PAGES = (SEARCH, RELATEDNESS, MAP, DUPLICATES, INDEXES)
FORMER = "compare"  # the path of a page of version 0.3
