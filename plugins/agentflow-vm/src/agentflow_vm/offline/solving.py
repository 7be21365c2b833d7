"""Do an errand by keys, or answer a question by reading one text after the other; errands are known by their words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from agentflow_core.interfaces import Move
from agentflow_core.records import Action
from agentflow_vm.offline import keys
from agentflow_vm.offline.seen import named_in, plain, seen_in_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentflow_core.records import SolveInputs
    from agentflow_vm.offline.keys import Steps
    from agentflow_vm.offline.seen import Seen

__all__ = ["solve"]

_SURE: Final = 0.9
_TRIES: Final = 3  #: a program may not have been ready
_LAUNCH: Final = "vm:launch"
_TYPE: Final = "vm:type"
_SCREENSHOT: Final = "vm:screenshot"
_TERMINAL: Final = "terminal"

_TEXT: Final = r'"([^"]+)"'
#: The words of errands, and the keys that do them; what is quoted is meant as it stands.
_ERRANDS: Final[tuple[tuple[re.Pattern[str], Callable[..., Steps]], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), steps)
    for pattern, steps in (
        (rf"\b(?:create|make|write)\b.*?\bfile\b[^\"]*{_TEXT}[^\"]*{_TEXT}", keys.created),
        (rf"\badd the line {_TEXT}[^\"]*{_TEXT}", lambda line, name: keys.added(name, line)),
        (rf"\breplace (?:all of|the text of)[^\"]*{_TEXT}[^\"]*{_TEXT}", keys.replaced),
        (rf"\brename[^\"]*{_TEXT}[^\"]*{_TEXT}", keys.renamed),
        (rf"\bdelete[^\"]*{_TEXT}", keys.deleted),
    )
)
_COMMAND: Final = re.compile(rf"\brun {_TEXT} in (?:a|the) terminal", re.IGNORECASE)
_NOTE: Final = re.compile(rf"\bwrite (the .+?) into[^\"]*{_TEXT}", re.IGNORECASE)
_ASKED: Final = re.compile(r"\b(?:what|which) is (the .+?)\?", re.IGNORECASE | re.DOTALL)


def solve(inputs: SolveInputs) -> Move:
    """The next calls, or the answer; nothing where the task is of no kind that is known."""
    offered = {tool.name for tool in inputs.tools}
    if keys.ACTIONS not in offered:
        return Move()
    task = inputs.question.strip()
    if command := _COMMAND.search(task):
        return _in_terminal(command[1], inputs, offered)
    if note := _NOTE.search(task):
        return _looked_up(note[1], inputs, into=note[2])
    for pattern, steps_of in _ERRANDS:
        if match := pattern.search(task):
            return _once(steps_of(*match.groups()), inputs)
    if asked := _ASKED.search(task):
        return _looked_up(asked[1], inputs)
    return Move()


def _once(steps: Steps, inputs: SolveInputs) -> Move:
    """Press the keys of an errand, unless they were pressed."""
    if not any(step.params.get("steps") == steps for step in inputs.steps):
        return _act(keys.ACTIONS, {"steps": steps}, "Do what the task asks for.")
    pressed = next(step for step in inputs.steps if step.params.get("steps") == steps)
    return _look_and_end(inputs, _SURE if pressed.result.ok else 0.1, "The keys for it were pressed.")


def _look_and_end(inputs: SolveInputs, confidence: float, reasoning: str) -> Move:
    """The end of an errand, after a last look at the screen, which whoever reads the trajectory then has too."""
    looked = any(step.tool == _SCREENSHOT for step in inputs.steps)
    if not looked and any(tool.name == _SCREENSHOT for tool in inputs.tools):
        return _act(_SCREENSHOT, {}, "See how the screen looks now.")
    return Move(answer="done", confidence=confidence, reasoning=reasoning)


def _act(tool: str, params: dict[str, Any], intent: str) -> Move:
    return Move(actions=(Action(tool=tool, params=params, intent=intent),), reasoning=intent)


def _in_terminal(command: str, inputs: SolveInputs, offered: set[str]) -> Move:
    if not {_LAUNCH, _TYPE} <= offered:
        return Move()
    launched = [step for step in inputs.steps if step.tool == _LAUNCH]
    if not launched:
        return _act(_LAUNCH, {"program": _TERMINAL}, "Open a terminal.")
    if not any(step.tool == _TYPE for step in inputs.steps):
        return _act(_TYPE, {"text": f"{command}\n"}, "Run the command.")
    return _look_and_end(inputs, _SURE, "The command was typed into a terminal.")


def _looked_up(of: str, inputs: SolveInputs, into: str = "") -> Move:
    """Follow ``the telephone of the maker of the Birch Stool`` from its end to its beginning."""
    seen = seen_in_steps(inputs.steps)
    if seen.files is None:
        if len(seen.tried) >= _TRIES:
            return Move(reasoning="The files cannot be listed.")
        return _act(keys.ACTIONS, {"steps": keys.listed()}, "See which files there are.")
    found = named_in(of, seen)
    if not found:
        return Move(reasoning="No file is named in it.")
    file = found[-1]
    names = [part for part in re.split(r"\s+of\s+", of) if plain(part.removeprefix("the ")) != plain(_title(file))]
    for name in reversed(names):
        text = seen.texts.get(file)
        if text is None:
            return _read(file, seen)
        wanted = plain(name.removeprefix("the "))
        value = next((fact.value for fact in text.facts if plain(fact.name) == wanted), None)
        if value is None:
            return Move(reasoning=f"{file} does not tell {name}.")
        if name is names[0]:
            if into:
                return _once(keys.created(into, value), inputs)
            return Move(answer=value, confidence=_SURE, reasoning=f"{file} tells it.")
        file = seen.file_about(value) or ""
        if not file:
            return Move(reasoning=f"No file tells of {value}.")
    return Move()


def _title(file: str) -> str:
    return file.rpartition(".")[0]


def _read(file: str, seen: Seen) -> Move:
    steps = keys.read(file)
    if seen.tried.count(steps) >= _TRIES:
        return Move(reasoning=f"{file} cannot be read.")
    return _act(keys.ACTIONS, {"steps": steps}, f"Read {file}.")
