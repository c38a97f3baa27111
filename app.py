"""The page's entry: streamlit run app.py."""

from streamlit import App

from embedsearch.ui.launch import PAGE
from embedsearch.ui.shell import MIDDLEWARE, opens_browser

app = App(PAGE, middleware=MIDDLEWARE, lifespan=opens_browser)
