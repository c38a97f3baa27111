"""The server's process: Streamlit, kept from asking the network for this machine's own addresses.

Streamlit compares the origin of a websocket from another page with this machine's addresses, and asks a web
service for the outer one. Which hosts the page answers to is named by `server.allowedHosts`, so neither
address is needed.
"""

from __future__ import annotations

from streamlit import net_util
from streamlit.web.cli import main


def unknown_address() -> None:
    """Take the place of what looks up an address of this machine."""


if __name__ == "__main__":
    net_util.get_external_ip = net_util.get_internal_ip = unknown_address
    main(prog_name="streamlit")
