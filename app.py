"""The page's entry: streamlit run app.py."""

from embedsearch.ui.pages import show

show()
