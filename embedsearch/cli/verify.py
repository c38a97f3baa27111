"""The command verify."""

from __future__ import annotations

from pathlib import Path

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option


@click.command(
    "verify", short_help="Check every file of an index.", **example("embedsearch verify faq --json")
)
@click.argument("name")
@indexes_option
@json_option
def verify_command(name: str, indexes: Path | None, json: bool) -> None:
    """Read every file of every build of the index NAME, and compare it with its checksum.

    The exit code is 1 if a file is damaged.
    """
    from embedsearch.store.folders import indexes_folder
    from embedsearch.store.versions import verify_builds

    found = verify_builds(indexes_folder(indexes), name)
    if json:
        from embedsearch.serve.schemas import VerifiedBuild, VerifyOutput

        builds = [VerifiedBuild(build=build, error=error) for build, error in found]
        echo_json(VerifyOutput(index=name, builds=builds))
    else:
        for build, error in found:
            click.echo(f"{build}: {error or 'undamaged'}")
    if any(error for _, error in found):
        raise SystemExit(1)
