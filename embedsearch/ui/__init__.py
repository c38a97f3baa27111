"""The page in the browser; all of Streamlit is in this package.

The address of the page is its state (`address`): widgets show what it says and write what a person
changes back to it, so a reload or a link shows the same result.
"""

import logging
from pathlib import Path

# Streamlit warns in the terminal of each cache that is made before its server, as those of `shell` are.
logging.getLogger("streamlit.runtime.caching.cache_data_api").addFilter(
    lambda record: "No runtime found" not in record.getMessage()
)

ASSETS = Path(__file__).with_name("assets")


def asset(*names: str) -> str:
    """Return files of the folder `ASSETS`, joined in this order."""
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in names)
