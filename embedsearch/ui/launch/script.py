"""The page's entry in an installed package; `embedsearch.ui.launch` hands it to Streamlit."""

from streamlit import App

from embedsearch.ui.launch import PAGE
from embedsearch.ui.shell import MIDDLEWARE, opens_browser

app = App(PAGE, middleware=MIDDLEWARE, lifespan=opens_browser)
