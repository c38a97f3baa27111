"""How the server and the page are set up, as Streamlit options. Loads no Streamlit."""

from __future__ import annotations

# The same stand in .streamlit/config.toml, for `streamlit run app.py`; a test holds the two equal.
OPTIONS: dict[str, str | bool | int] = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",  # a person sees a sentence, the terminal the traceback
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": True,  # with it an advertisement for coding agents is laid over the page
    "server.fileWatcherType": "none",  # the watcher would import all of torch to look at it
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
