import re
from pathlib import Path

import embedsearch
from embedsearch.cli import COMMANDS
from embedsearch.models.catalog import MODELS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_is_named():
    """The README names every command, and no command that there is not."""
    named = set(re.findall(r"embedsearch ([a-z]+)\b", " ".join(re.findall(r"`[^`\n]*`", README))))
    assert set(COMMANDS) <= named


def test_the_commands_of_its_code_blocks_exist():
    """Every `embedsearch WORD` in a code block is a command."""
    for block in re.findall(r"```sh\n(.*?)```", README, re.S):
        for word in re.findall(r"(?:^|/|&& )embedsearch ([a-z]+)", block, re.M):
            assert word in COMMANDS


def test_bundled_models_stand_with_size_and_licence():
    """Each bundled model stands in the README with its dimension, size and licence."""
    for row in MODELS:
        if row.package:
            line = next(line for line in README.splitlines() if line.startswith(f"| `{row.name}`"))
            for fact in (str(row.dimension), f"{row.megabytes} MB", row.licence, row.pooling):
                assert fact in line


def test_every_benchmark_is_named():
    """The README quotes each benchmark script by the command that runs it."""
    for script in (ROOT / "tests" / "benchmarks").glob("*.py"):
        if script.stem not in {"__init__", "common", "gpu", "numbers", "rows"}:
            assert f"tests.benchmarks.{script.stem}" in README


def test_linked_files_exist():
    """Links and pictures of the README that are no web addresses lead to files."""
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target


def test_the_version_has_its_changes():
    """The Changes section has an entry for the version in force."""
    assert f"**{embedsearch.__version__}**" in README.split("## Changes")[1]
