"""The page in the browser; all of Streamlit is in this package.

The address of the page is its state (`address`): widgets show what it says and write what a person
changes back to it, so a reload or a link shows the same result.
"""

from pathlib import Path

ASSETS = Path(__file__).with_name("assets")
