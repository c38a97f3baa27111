import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from embedsearch.errors import ModelError
from embedsearch.models.files import absolute_model, default_unit, find_files
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit

ROOT = Path(__file__).parents[2]
ASK = """
import sys, time
from embedsearch.models import files
from embedsearch.errors import ModelError
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit

files.HUB_SECONDS = 1.0
started = time.monotonic()
try:
    found = files.find_files(EncoderRecipe(Unit.TEXT, "nobody/no-such-model"))
    print(found.folder, found.revision, sep="\\n")
except ModelError as error:
    print(type(error).__name__, error, sep="\\n")
print(time.monotonic() - started)
"""


def ask_hub(cache, **environment):
    """Ask for a hub model in a process of its own, and return what it printed, line by line."""
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    clean.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, env={**clean, "HF_HOME": str(cache), **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("way", ["offline", "refused", "no-such-host", "silent"])
def test_a_hub_out_of_reach_is_told_within_seconds(tmp_path, silent_port, way):
    """However the hub is out of reach, the message says to give a local folder, and nobody waits for long."""
    environment = {
        "offline": {"HF_HUB_OFFLINE": "1"},
        "refused": {"HF_ENDPOINT": "http://127.0.0.1:9"},
        "no-such-host": {"HF_ENDPOINT": "http://no-such-host.invalid"},
        "silent": {"HF_ENDPOINT": f"http://127.0.0.1:{silent_port}"},
    }[way]
    kind, message, seconds = ask_hub(tmp_path, **environment)
    assert kind == "ModelUnreachableError"
    assert "'nobody/no-such-model' is not on this machine and the hub can't be reached" in message
    assert "Give a local folder instead (--model /path/to/folder" in message
    assert "all-MiniLM-L6-v2" in message
    assert float(seconds) < 10


def test_a_hub_model_in_the_cache_serves_without_the_hub(small_model, tmp_path):
    """A model that was fetched before is found when the hub is out of reach, with its commit."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "hub" / "models--nobody--no-such-model"
    shutil.copytree(small_model("bert"), cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    folder, revision, _ = ask_hub(tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert Path(folder) == (cached / "snapshots" / commit).resolve()
    assert revision == commit


def test_finding_a_model_loads_no_torch(small_model):
    """A model's files are found and its specification settled without torch and transformers."""
    code = f"""
import sys
from embedsearch.models.files import find_files
from embedsearch.models.spec import make_spec
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
bert = EncoderRecipe(Unit.TEXT, {str(small_model("bert"))!r})
for recipe in (bert, EncoderRecipe(Unit.TEXT), EncoderRecipe(Unit.IMAGE)):
    assert make_spec(recipe, find_files(recipe)).fingerprint
print([name for name in ("torch", "transformers", "faiss", "pyarrow", "streamlit") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/no/such/folder", "There is no folder"),
        ("./no-such-folder", "There is no folder"),
        ("a/b/c", "neither a folder nor a hub id"),
        ("back\\slash", "neither a folder nor a hub id"),
        (" ", "neither a folder nor a hub id"),
    ],
)
def test_what_can_be_no_model_is_refused_without_the_hub(name, message):
    """A missing folder or an impossible id is told at once, and the hub is not asked."""
    with pytest.raises(ModelError, match=message):
        find_files(EncoderRecipe(Unit.TEXT, name))


def test_a_folder_that_holds_no_model_is_refused(tmp_path):
    """A folder needs a config.json and weights; what is missing is named."""
    with pytest.raises(ModelError, match=r"holds no model: a config\.json"):
        find_files(EncoderRecipe(Unit.TEXT, str(tmp_path)))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"holds no weights: \*\.safetensors"):
        find_files(EncoderRecipe(Unit.TEXT, str(tmp_path)))


def test_one_kind_of_weights_is_read(small_model, tmp_path):
    """Where a folder holds safetensors and pickled weights, only the safetensors count."""
    folder = shutil.copytree(small_model("bert"), tmp_path / "model")
    (folder / "pytorch_model.bin").write_bytes(b"other")
    assert [path.name for path in find_files(EncoderRecipe(Unit.TEXT, str(folder))).weights] == [
        "model.safetensors"
    ]


def test_broken_json_names_its_file(small_model, tmp_path):
    """A model's file that is not JSON is named."""
    folder = shutil.copytree(small_model("bert"), tmp_path / "model")
    (folder / "modules.json").write_text("{broken")
    with pytest.raises(ModelError, match=r"modules\.json can't be read as JSON"):
        find_files(EncoderRecipe(Unit.TEXT, str(folder))).json("modules.json")


def test_the_unit_is_taken_from_what_a_model_reads(small_model):
    """A folder with a tokenizer serves texts, one with image preprocessing only serves images."""
    assert default_unit("", "") is Unit.TEXT
    assert default_unit("efficientnet-lite2", "") is Unit.IMAGE
    assert default_unit(str(small_model("bert")), "") is Unit.TEXT
    assert default_unit(str(small_model("resnet")), "") is Unit.IMAGE


def test_a_local_model_is_remembered_by_its_absolute_path(tmp_path, monkeypatch):
    """A folder becomes absolute, so that a rebuild works from anywhere; names stay as they are."""
    (tmp_path / "my model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert absolute_model("my model") == str(tmp_path / "my model")
    assert absolute_model("./other") == str(tmp_path / "other")
    for name in ("", "all-MiniLM-L6-v2", "BAAI/bge-small-en-v1.5"):
        assert absolute_model(name) == name
    (tmp_path / "all-MiniLM-L6-v2").mkdir()
    assert absolute_model("all-MiniLM-L6-v2") == "all-MiniLM-L6-v2"


def test_a_pickle_in_the_weights_is_not_run(small_model, tmp_path):
    """Pickled weights that would run code are refused, and the code does not run."""
    import pickle

    folder = shutil.copytree(small_model("bert"), tmp_path / "model")
    (folder / "model.safetensors").unlink()
    trap = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (trap,))

    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"weight": Trap()}, file, protocol=2)
    from embedsearch.encoders import load_encoder

    with pytest.raises(ModelError, match=r"can't load the model .* holds more than tensors"):
        load_encoder(str(folder))
    assert not trap.exists()


def test_remote_code_is_not_run(small_model, tmp_path):
    """A configuration that names code of its own is refused, and the code does not run."""
    folder = shutil.copytree(small_model("bert"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    own = {"model_type": "mine", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}}
    (folder / "config.json").write_text(json.dumps({**config, **own}))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    from embedsearch.encoders import load_encoder

    with pytest.raises(ModelError, match="can't load the model"):
        load_encoder(str(folder))
    assert not (tmp_path / "ran").exists()
