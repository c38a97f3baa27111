"""The page's entry in an installed package; `embedsearch.ui.launch` hands it to Streamlit."""

from embedsearch.ui.pages import show

show()
