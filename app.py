"""The page's entry: streamlit run app.py."""

from embedsearch.ui.app import show

show()
