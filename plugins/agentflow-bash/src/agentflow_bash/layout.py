"""What the results of tools look like, for programs (data) and for models (text)."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from agentflow_core.records import TextContent, ToolResult, clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_bash.files import Lines
    from agentflow_bash.finding import Entry, Match
    from agentflow_bash.jobs import Job
    from agentflow_bash.shell import Ran

__all__ = ["failed", "job_data", "lines_result", "listing_result", "matches_result", "run_result"]

_RESTARTED: Final = "the shell was restarted: folder, variables, functions and options are as before"
_LIMITS: Final = {
    "memory_limit": "the session's limit of memory was hit, and processes were killed",
    "pids_limit": "the session's limit of processes was hit",
    "disk_limit": "the session's limit of disk space was hit",
}


def run_result(ran: Ran, *, timeout_s: float, code: str, kept: Mapping[str, str], notes: Sequence[str]) -> ToolResult:
    """What became of a command; ``code`` other than ok where a limit ended it."""
    stdout, stderr = ran.stdout.shown(), ran.stderr.shown()
    data: dict[str, Any] = {
        "stdout": stdout,
        "stderr": stderr,
        "exit_code": ran.exit_code,
        "signal": _signal(ran.exit_code),
        "timed_out": ran.timed_out,
        "cwd": ran.cwd,
        "shell_restarted": ran.shell_restarted,
        "background_jobs": list(ran.background),
        "stdout_bytes": ran.stdout.total,
        "stderr_bytes": ran.stderr.total,
        "outputs": dict(kept),
    }
    said = [
        part for part in (stdout.removesuffix("\n"), f"stderr:\n{stderr}".removesuffix("\n") if stderr else "") if part
    ]
    for name, capture in (("stdout", ran.stdout), ("stderr", ran.stderr)):
        if name in kept:
            more = f", {capture.stored} of them kept" if capture.stored < capture.total else ""
            said.append(f"[{name}: {capture.total} bytes{more}; output with job_id {kept[name]} reads it]")
    said += notes
    if ran.exit_code and not ran.timed_out:
        said.append(f"exit code {ran.exit_code}")
    if ran.shell_restarted:
        said.append(_RESTARTED)
    text = "\n".join(said)
    if code == "ok":
        return ToolResult.success(data, text=text or "(no output)")
    if code == "timeout":
        message = f"the command was stopped after {timeout_s:g} s; what it had printed is here"
        hint = "give more timeout_s, or use start for what goes on"
    else:
        message = _LIMITS.get(code, "all processes of the session were killed")
        hint = "the files are there; what ran in the background has ended" if code == "process_died" else ""
    return failed(ToolResult.failure(code, message, hint=hint, data=data), text)


def failed(failure: ToolResult, text: str) -> ToolResult:
    """The failure with a text for the model."""
    return evolve(failure, content=(TextContent(clean_text(text)),)) if text else failure


def _signal(exit_code: int) -> str | None:
    """The signal of which a command died, as shells tell it."""
    try:
        return signal.Signals(exit_code - 128).name.removeprefix("SIG") if exit_code > 128 else None
    except ValueError:
        return None


def job_data(job: Job) -> dict[str, Any]:
    """One job."""
    return {
        "job_id": job.id,
        "number": job.number,
        "pid": job.pid,
        "command": job.command,
        "running": job.is_running,
        "exit_code": job.exit_code,
        "output_bytes": job.spool.total,
    }


def lines_result(path: str, lines: Lines, unit: str) -> ToolResult:
    """A part of a file; the text itself only once, as text."""
    text = lines.data.decode("utf-8", "replace")
    data = {
        "path": path,
        "unit": unit,
        "first": lines.first,
        "count": lines.count,
        "next": lines.next,
        "size_bytes": lines.size,
        "is_exact": text.encode() == lines.data and clean_text(text) == text,
        "is_cut": lines.is_cut,
    }
    return ToolResult.success(data, text=text)


def listing_result(path: str, entries: Sequence[Entry], is_cut: bool) -> ToolResult:
    """The entries of a folder."""
    lines = []
    for entry in entries:
        mark = {"folder": "/", "link": f" -> {entry.target}"}.get(entry.kind, "")
        size = f"  ({entry.size} bytes)" if entry.kind == "file" else ""
        lines.append(f"{entry.path}{mark}{size}")
    data = {
        "path": path,
        "entries": [{"path": each.path, "kind": each.kind, "size_bytes": each.size} for each in entries],
        "truncated": is_cut,
    }
    return ToolResult.success(data, text="\n".join([*lines, *(["[there are more]"] if is_cut else [])]) or "(empty)")


def matches_result(matches: Sequence[Match], searched: int, is_cut: bool) -> ToolResult:
    """Matching lines."""
    lines = [f"{each.path}:{each.line}{':' if each.is_match else '-'}{each.text}" for each in matches]
    data = {
        "matches": [{"path": each.path, "line": each.line, "text": each.text} for each in matches if each.is_match],
        "files_searched": searched,
        "truncated": is_cut,
    }
    text = "\n".join([*lines, *(["[there are more]"] if is_cut else [])])
    return ToolResult.success(data, text=text or f"no match in {searched} files")
