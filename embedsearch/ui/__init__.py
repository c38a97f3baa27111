"""The page in the browser; all of Streamlit is in this package.

The address of the page is its state (`address`): widgets show what it says and write what a person
changes back to it, so a reload or a link shows the same result.
"""

from pathlib import Path

ASSETS = Path(__file__).with_name("assets")


def asset(*names: str) -> str:
    """Return files of the folder `ASSETS`, joined in this order."""
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in names)
