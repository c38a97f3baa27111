"""The job that works on indexes: how far it is, what came of it, and the way to start one."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from embedsearch.errors import EmbedsearchError
from embedsearch.ui import jobs
from embedsearch.ui.jobs import Job, State
from embedsearch.ui.launch import is_allowed
from embedsearch.ui.theme import HOSTS
from embedsearch.ui.widgets.notes import report
from embedsearch.ui.widgets.progress import said

QUICK, SLOW = 1.0, 4.0  # seconds between looks at a job that runs, and where none does
HEADS = {
    State.RUNNING: "",
    State.DONE: "Done",
    State.FAILED: "Did not work",
    State.CANCELLED: "Stopped",
    State.DIED: "Interrupted",
}
FAILED = "The page on the machine itself says why."
COUNTED = ("added", "changed", "removed", "rejected")


def may_build() -> bool:
    """Whether visitors may change indexes: the page is for this machine alone, or they are allowed to."""
    if is_allowed():
        return True
    allowed = st.get_option("server.allowedHosts") or []
    return st.get_option("server.address") in HOSTS and bool(allowed) and set(allowed) <= set(HOSTS)


def start(indexes: Path, title: str, index: str, command: Sequence[str]) -> None:
    """Start a job; the callback of a button. What prevents it is reported."""
    begin(indexes, title, index, command)


def begin(indexes: Path, title: str, index: str, command: Sequence[str]) -> bool:
    """Start a job, and return whether it was started. What prevents it is reported."""
    if not may_build():
        return False
    try:
        jobs.start(indexes, title, index, command)
    except EmbedsearchError as error:
        report(str(error))
    except OSError as error:
        report(f"The job can't be started: {error.strerror or error} {error.filename or ''}".rstrip() + ".")
    else:
        return True
    return False


def show(indexes: Path) -> Job | None:
    """Show the newest job, and follow it; return it while it runs.

    The whole page runs again when a job begins or ends, in this session or in another one.
    """
    job = jobs.latest(indexes)
    runs = job is not None and job.state is State.RUNNING
    with st.container(key="es-job"):
        st.fragment(_follow, run_every=QUICK if runs else SLOW)(indexes, _known(job))
    return job if runs else None


def _known(job: Job | None) -> tuple[str, State] | None:
    return None if job is None else (job.folder.name, job.state)


def _follow(indexes: Path, known: tuple[str, State] | None) -> None:
    job = jobs.latest(indexes)
    if _known(job) != known:
        st.rerun()
    if job is None or (job.seen and job.state is not State.RUNNING):
        return
    allowed = may_build()
    with st.container(horizontal=True, vertical_alignment="center", key=f"es-job-{job.state}"):
        st.html(_panel(job, allowed=allowed))
        if not allowed:
            return
        if job.state is State.RUNNING:
            st.button(
                "Stop it now" if job.stopping else "Stop",
                icon=":material/stop_circle:",
                key="job-stop",
                on_click=jobs.cancel,
                args=(job,),
                help="Stop the job. Its work so far is kept.",
            )
            return
        if job.state is not State.DONE:
            st.button(
                "Try again" if job.state is State.FAILED else "Resume",
                icon=":material/refresh:",
                key="job-again",
                on_click=start,
                args=(indexes, job.title, job.index, job.command),
            )
        st.button(
            "Close",
            icon=":material/close:",
            type="tertiary",
            key="job-close",
            on_click=jobs.close,
            args=(job,),
            help="Hide this message",
        )


def _panel(job: Job, *, allowed: bool) -> str:
    """Return the HTML of a job; visitors from elsewhere see no stage or reason, which name paths."""
    title = html.escape(job.title)
    if job.state is not State.RUNNING:
        text = outcome(job) if allowed or job.state is not State.FAILED else FAILED
        return (
            f'<div class="es-job es-{job.state} es-announced"><p><b>{title}</b> '
            f'<span class="es-badge">{HEADS[job.state]}</span></p>'
            f'<p class="es-job-said">{html.escape(text)}</p></div>'
        )
    stage = job.stage if allowed or not job.stage else "working"
    line = "stopping" if job.stopping else stage or "starting"
    share = min(job.done / job.total, 1) if job.total else 0
    width = f"{100 * share:.1f}%"
    bar = (
        f'<div class="es-bar" role="progressbar" aria-label="{title}" aria-valuemin="0" aria-valuemax="100"'
        f' aria-valuenow="{round(100 * share)}"><i style="width: {width}"></i></div>'
        if job.total
        else f'<div class="es-bar es-endless" role="progressbar" aria-label="{title}"><i></i></div>'
    )
    words = html.escape(said(line, job.done, job.total, job.seconds))
    percent = f"<strong>{100 * share:.0f}\u00a0%</strong>" if job.total else ""
    return (
        f'<div class="es-job es-running"><p><b>{title}</b> {percent}</p>{bar}'
        f'<p class="es-job-said">{words}</p></div>'
    )


def outcome(job: Job) -> str:
    """Return what came of a job that has ended, a sentence or more."""
    if job.state is not State.DONE:
        return job.reason
    found, verb = job.result, next(iter(job.command), "")
    seconds = max(1, round(job.ended - job.started))
    match verb:
        case "build" | "rebuild":
            return built(found)
        case "demo":
            names = [str(each["index"]) for each in found.get("indexes", ())]
            return f"Ready: {', '.join(names)}."
        case "map":
            return f"The map is ready after {seconds} s: see the page Map."
        case "rollback":
            return f"The current build is {found.get('build')}, with {found.get('count', 0):,} items."
        case "remove":
            return "The index is deleted. What it was made from is untouched."
        case _:
            return f"Done in {seconds} s."


def built(found: dict[str, Any]) -> str:
    """Return what a build changed, from the JSON of `build` or `rebuild`."""
    if not found.get("published", True):
        return "Nothing has changed since the last build."
    report = found.get("report") or {}
    count, seconds = int(found.get("count", 0)), float(report.get("seconds", 0))
    changes = found.get("changes") or {}
    counted = ", ".join(f"{changes[kind]:,} {kind}" for kind in COUNTED if changes.get(kind))
    rejected = int(report.get("rejected", 0))
    told = counted or (f"{rejected:,} rejected" if rejected else "")
    return f"{count:,} items in {seconds:,.1f} s{f' ({told})' if told else ''}."
