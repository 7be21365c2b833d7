"""Explore a desktop: list the files, read what the subject names, then what the values in it name, then others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.records import Action
from agentflow_core.text import action_key, hash64
from agentflow_vm.offline.keys import ACTIONS, listed, read
from agentflow_vm.offline.seen import named_in, seen_on_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_core.records import ProposeInputs

__all__ = ["propose"]


def propose(inputs: ProposeInputs) -> list[Action]:
    """Up to ``inputs.k`` different actions that are not taken and that the offered tools allow, best first."""
    if ACTIONS not in {tool.name for tool in inputs.tools}:
        return []
    taken = {action_key(action.tool, action.params) for action in inputs.taken}
    chosen: list[Action] = []
    for action in _wishes(inputs):
        key = action_key(action.tool, action.params)
        if key not in taken:
            taken.add(key)
            chosen.append(action)
        if len(chosen) == inputs.k:
            break
    return chosen


def _wishes(inputs: ProposeInputs) -> Iterator[Action]:
    seen = seen_on_path(inputs.path)
    if seen.files is None:
        yield Action(tool=ACTIONS, params={"steps": listed()}, intent="See which files there are.")
        return
    about = named_in(inputs.seed.content, seen)
    if seen.texts:
        last = list(seen.texts.values())[-1]
        about = [*filter(None, (seen.file_about(fact.value) for fact in last.facts)), *about]
        about += [file for fact in seen.facts if (file := seen.file_about(fact.value))]
    salt = inputs.path[-1].id
    others = sorted(seen.files, key=lambda file: hash64(f"{salt}\n{file}"))
    for file in dict.fromkeys((*about, *others)):
        if file not in seen.texts:
            yield Action(tool=ACTIONS, params={"steps": read(file)}, intent=f"Read {file}.")
