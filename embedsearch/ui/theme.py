"""How the server and the page are set up, as Streamlit options. Loads no Streamlit."""

from __future__ import annotations

# Names of this machine. A foreign page whose name is made to lead here (DNS rebinding) has another one.
HOSTS = ["localhost", "127.0.0.1", "::1"]
Option = str | bool | int | list[str]
# The same stand in .streamlit/config.toml, for `streamlit run app.py`; a test holds the two equal.
OPTIONS: dict[str, Option] = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",  # a person sees a sentence, the terminal the traceback
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": True,  # with it an advertisement for coding agents is laid over the page
    "server.allowedHosts": [
        "localhost",
        "127.0.0.1",
        "::1",
    ],  # else a foreign page could name this one its own
    "server.fileWatcherType": "none",  # the watcher would import all of torch to look at it
    "server.maxCacheDataSize": "200mb",  # small copies of images, of all visitors together
    "server.maxUploadSize": 50,
    "server.showEmailPrompt": False,
    "theme.baseRadius": "0.6rem",
    "theme.showWidgetBorder": True,
    "theme.headingFontWeights": "600",
    "theme.light.primaryColor": "#0f766e",
    "theme.light.backgroundColor": "#fdfdfc",
    "theme.light.secondaryBackgroundColor": "#f3f5f3",
    "theme.light.textColor": "#1d2523",
    "theme.light.borderColor": "#dfe4e1",
    "theme.dark.primaryColor": "#2bb5a5",
    "theme.dark.backgroundColor": "#131716",
    "theme.dark.secondaryBackgroundColor": "#1c2220",
    "theme.dark.textColor": "#e4eae7",
    "theme.dark.borderColor": "#313a37",
}
