"""The page's entry in an installed package; `embedsearch.ui.launch` hands it to Streamlit."""

from streamlit import App
from streamlit.logger import get_logger

# it would warn in the terminal of each cache that is made before the server, which are those of `shell`
get_logger("streamlit.runtime.caching.cache_data_api").setLevel("ERROR")

from embedsearch.ui.launch import PAGE  # noqa: E402  the level is set first
from embedsearch.ui.shell import MIDDLEWARE, opens_browser  # noqa: E402

app = App(PAGE, middleware=MIDDLEWARE, lifespan=opens_browser)
