"""What is there at the end of a task: files, the clipboard, windows, and what commands print."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from agentflow_core.errors import SandboxError
from agentflow_vm.inside.bundle import command
from agentflow_vm.writing import get_clipboard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_vm.session import VmSession

__all__ = ["KINDS", "observed", "windows_of"]

#: ``file:PATH`` its text, ``exists:PATH`` whether it is there, ``clipboard`` its text, ``windows`` the titles, sorted,
#: ``exec:COMMAND`` what it prints, without the last line's end. Nothing there is None.
KINDS: Final = ("file:PATH", "exists:PATH", "clipboard", "windows", "exec:COMMAND")
_MAX_FILE: Final = 1 << 20
_LOOK_S: Final = 15.0
_FIELDS: Final = {
    **dict.fromkeys(("id", "pid", "x", "y", "width", "height"), int),
    **dict.fromkeys(("title", "app"), str),
    **dict.fromkeys(("active", "hidden"), bool),
}


async def observed(state: VmSession, probes: Sequence[str]) -> Mapping[str, Any]:
    """What each probe sees.

    Raises:
        SandboxError: ``invalid_argument``: there is no such kind of probe; or the machine is lost.
    """
    for probe in probes:
        _split(probe)
    return {probe: await _observe(state, *_split(probe)) for probe in probes}


def _split(probe: str) -> tuple[str, str]:
    kind, separator, argument = probe.partition(":")
    known = {form.partition(":")[0]: ":" in form for form in KINDS}
    if kind not in known or (known[kind] and not argument) or (separator and not known[kind]):
        raise SandboxError(f"no probe of vm is {probe!r}", code="invalid_argument", hint=f"one of {', '.join(KINDS)}")
    return kind, argument


async def _observe(state: VmSession, kind: str, argument: str) -> Any:
    if kind == "clipboard":
        async with state.using() as display:
            return await get_clipboard(state, display)
    if kind == "windows":
        return sorted(window["title"] for window in await windows_of(state))
    if kind == "exec":
        ran = await state.guest.run(("/bin/sh", "-c", argument), timeout_s=state.config.exec_timeout_s)
        return None if ran.timed_out else ran.stdout.decode("utf-8", "replace").removesuffix("\n")
    try:
        found = await state.guest.read_file(argument, 0, _MAX_FILE if kind == "file" else 1)
    except SandboxError as error:
        if error.code == "not_found":
            return False if kind == "exists" else None
        if kind == "exists" and error.code == "invalid_argument":
            return True  # a folder
        raise
    return found.data.decode("utf-8", "replace") if kind == "file" else True


async def windows_of(state: VmSession, *, least: int = 0, timeout_s: float = 0.0) -> list[dict[str, Any]]:
    """The windows, by a look from within the machine when there are ``least``, or the time is over; it is checked.

    Raises:
        SandboxError: ``unsupported``: the machine has no way in, or nothing there that can look.
    """
    arguments = (str(least), str(timeout_s)) if least else ()
    try:
        ran = await state.guest.run(command("xclient", arguments=arguments), timeout_s=_LOOK_S + timeout_s)
    except SandboxError as error:
        if error.code != "not_found":
            raise
        raise _no_look(error.message) from error
    try:
        told = json.loads(ran.stdout)
        return [{name: kind(window[name]) for name, kind in _FIELDS.items()} for window in told]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        said = ran.stderr.decode("utf-8", "replace").strip()[-300:]
        raise _no_look(said or str(error)) from error


def _no_look(why: str) -> SandboxError:
    return SandboxError(f"the windows cannot be listed: {why}", code="unsupported", hint="take a screenshot")
