"""The page's entry in an installed package; `embedsearch.ui.launch` hands it to Streamlit."""

from embedsearch.ui.app import show

show()
