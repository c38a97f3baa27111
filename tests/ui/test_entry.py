import ast
import subprocess
import sys
import tomllib
from pathlib import Path

from embedsearch.ui.theme import OPTIONS

ROOT = Path(__file__).parents[2]


def test_app_holds_no_logic():
    """app.py is imports and one call; so is the entry of an installed package."""
    for path in (ROOT / "app.py", ROOT / "embedsearch" / "ui" / "__main__.py"):
        docstring, *body = ast.parse(path.read_text(encoding="utf-8")).body
        assert isinstance(docstring, ast.Expr)
        *imports, call = body
        assert all(isinstance(each, ast.ImportFrom) for each in imports)
        assert isinstance(call, ast.Expr)
        assert isinstance(call.value, ast.Call)
        assert not call.value.args


def test_starting_the_page_loads_neither_streamlit_nor_torch():
    """The process that starts the server loads neither Streamlit nor torch."""
    code = (
        "import sys, embedsearch.ui.launch; print(sorted({'streamlit', 'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_both_ways_to_start_have_the_same_settings():
    """.streamlit/config.toml says what `embedsearch ui` passes on the command line."""
    document = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))

    def flat(table, prefix=""):
        for name, value in table.items():
            yield from (
                flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
            )

    assert dict(flat(document)) == OPTIONS
