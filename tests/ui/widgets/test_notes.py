"""Messages."""

import pytest

from embedsearch.ui.widgets.notes import literal


@pytest.mark.parametrize(
    "text", ["**b**", "$x$", ":smile:", ":red[x]", "`c`", "# h", "<b>", "a_b_c", "[l](u)", "1. x"]
)
def test_markdown_in_messages_is_disarmed(text):
    """Each mark is escaped or broken; what remains after that is the text itself."""
    shown = literal(text)
    assert shown != text
    assert shown.replace("\\", "").replace("\u2060", "") == text
