"""The script that Streamlit runs for each visit of the page."""

from embedsearch.ui.app import show

show()
