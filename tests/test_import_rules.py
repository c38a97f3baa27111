"""Rule 1 of the design: one heavy library, one room; numpy arrays cross the boundaries."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "embedsearch"
FILES = sorted(PACKAGE.rglob("*.py"))

# library -> the rooms that may import it (folders and files of embedsearch/, and app.py)
ROOMS = {
    "torch": {"encoders"},
    "transformers": {"encoders"},
    "huggingface_hub": {"models", "encoders", "sources"},
    "safetensors": {"encoders"},
    "tokenizers": {"encoders"},
    "openvino": {"encoders"},
    "faiss": {"backends"},
    "streamlit": {"ui", "app.py"},
    "click": {"cli"},
    "tqdm": {"cli"},
    "pydantic": {"serve"},
    "fastapi": {"serve"},
    "httpx": {"serve"},
    "mcp": {"serve"},
    "sqlglot": {"search"},
    "csv": {"sources", "maps", "results.py"},  # a map and the hits are saved as tables
    "datasets": {"sources"},
    "umap": {"maps"},
    "cv2": {"analysis", "encoders"},
    "rapidfuzz": {"analysis"},
    "pandas": set(),
    "pickle": {"encoders"},  # to catch its errors
    # the items of a build and results are Arrow tables; servers filter by them, the page counts values
    "pyarrow": {"results.py", "backends", "sources", "store", "search", "indexing", "maps", "ui"},
    "pymilvus": {"backends"},
    "psycopg": {"backends"},
    "pyarrow.csv": {"sources"},
    "pyarrow.json": {"sources"},
}
HEAVY = ("torch", "transformers", "faiss", "numpy", "pyarrow", "streamlit", "click", "PIL", "sqlglot")


def imports(path):
    """Return the dotted names that a file imports anywhere, `from a import b` as a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def room(path):
    """Return the folder of embedsearch/ that a file lies in, or its own name."""
    return path.relative_to(PACKAGE).parts[0] if path.is_relative_to(PACKAGE) else path.name


def test_the_rule_sees_the_package():
    """The files of every room are read, so that no rule holds for want of files."""
    assert {"encoders", "backends", "sources", "api.py", "indexing", "search"} <= {
        room(path) for path in FILES
    }
    assert {"torch", "torch.nn"} <= imports(PACKAGE / "encoders" / "pooling_heads.py")


@pytest.mark.parametrize("library", ROOMS)
def test_a_library_stays_in_its_room(library):
    """Torch in encoders/, faiss in backends/, streamlit in ui/, click in cli/, table readers in sources/."""
    outside = [
        str(path.relative_to(ROOT))
        for path in [*FILES, ROOT / "app.py"]
        if room(path) not in ROOMS[library]
        and any(name == library or name.startswith(f"{library}.") for name in imports(path))
    ]
    assert outside == []


def test_faiss_and_torch_are_each_named_where_they_live():
    """Each backend and the encoders do use their library: the rule above would notice a leak."""
    assert any("faiss" in imports(path) for path in FILES if room(path) == "backends")
    assert any("torch" in imports(path) for path in FILES if room(path) == "encoders")


def test_rooms_import_only_what_the_table_allows():
    """The table of rooms in `.importlinter` holds over the transitive closure; `lint-imports` says so."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_nothing_runs_foreign_code():
    """No pickle is loaded, no remote code trusted, no text evaluated."""
    for path in FILES:
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in {"eval", "exec", "pickle.load", "pickle.loads", "os.system"}, path
                words = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert words.get("trust_remote_code", "False") == "False", path
                assert words.get("allow_pickle", "False") == "False", path
                assert name != "torch.load" or words.get("weights_only") == "True", path


def test_app_has_no_logic():
    """app.py imports and calls: no loops, no conditions but the one for a script, no functions."""
    tree = ast.parse((ROOT / "app.py").read_text(encoding="utf-8"))
    banned = (ast.For, ast.While, ast.FunctionDef, ast.ClassDef, ast.Try, ast.comprehension)
    assert not [node for node in ast.walk(tree) if isinstance(node, banned)]
    assert len(tree.body) <= 20


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import embedsearch", HEAVY),
        (
            "import embedsearch.errors, embedsearch.records, embedsearch.recipe, embedsearch.models.catalog",
            HEAVY,
        ),
        (
            "import embedsearch.cli",
            ("torch", "transformers", "faiss", "numpy", "pyarrow", "streamlit", "PIL"),
        ),
        (
            "from embedsearch import Text, Record, Unit",
            ("torch", "transformers", "faiss", "pyarrow", "streamlit"),
        ),
        (
            "import embedsearch.search.searcher, embedsearch.indexing.build, embedsearch.api",
            ("torch", "transformers", "streamlit"),
        ),
        (
            "import embedsearch.store.build, embedsearch.search.filters, embedsearch.sources",
            ("torch", "transformers", "faiss"),
        ),
    ],
)
def test_imports_are_light(statement, banned):
    """`import embedsearch` loads no heavy library, and no module loads torch before a model is opened."""
    code = f"import sys; {statement}; print([name for name in {banned!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
