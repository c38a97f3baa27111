"""Files that are made of what was found."""

import os
import zipfile
from dataclasses import replace

from embedsearch.ui.widgets import share
from tests.ui.widgets.test_cards import hit


def test_images_are_saved_with_their_ranks(tmp_path):
    """Files from before 1980 are, too, which a zip file can't date; those that are gone are left out."""
    (tmp_path / "old.png").write_bytes(b"old")
    os.utime(tmp_path / "old.png", (0, 0))
    found = [
        replace(hit(None, path=str(tmp_path / name)), rank=rank)
        for rank, name in enumerate(("gone.png", "old.png"), 1)
    ]
    share._images(found, tmp_path / "images.zip")
    with zipfile.ZipFile(tmp_path / "images.zip") as file:
        assert {name: file.read(name) for name in file.namelist()} == {"0002 old.png": b"old"}
