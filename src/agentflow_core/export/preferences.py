"""TRL's preference pairs: ``{prompt, chosen, rejected, tools}`` a line, with the prompt explicit.

Of a synthesis, two steps from the same node of a tree: the one that an accepted pair's path takes, and a sibling that
failed, was stale, or told less and that no kept path takes. Of a rollout, two answered samples of one question: one
that passed and one that did not, by the first metric that graded both (0.5 or more has passed), the best with the
worst, the next best with the next worst, and so on. See TRL's documentation, "Dataset formats and types".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.export.chat import check_chat, check_tools, conversations, function_of
from agentflow_core.export.examples import call_of
from agentflow_core.export.formats import Format, Pictures, Unfit, read_lines, write_lines
from agentflow_core.export.trl import check_pictures, trl_messages
from agentflow_core.records import Message, ToolDefinition, assistant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentflow_core.export.examples import Example
    from agentflow_core.export.selection import Source
    from agentflow_core.records import Node

__all__ = ["PreferenceExporter", "worse_sibling"]

PASSED = 0.5
_COLUMNS = ("prompt", "chosen", "rejected")


@frozen(kw_only=True)
class _Pair:
    prompt: Sequence[Message]
    chosen: Sequence[Message]
    rejected: Sequence[Message]
    tools: Sequence[ToolDefinition]


class PreferenceExporter(Format):
    """A line for each preference."""

    noun = "pairs"

    def write(self, source: Source, output: Path, pictures: Pictures) -> int:
        """See `Format.write`."""

        def lines() -> Iterator[dict[str, Any]]:
            examples = conversations(source, parsed_arguments=True)
            for pair in _of_trees(examples) if source.run.kind == "synthesis" else _of_samples(source, examples):
                images: list[str] = []
                line: dict[str, Any] = {
                    column: trl_messages(getattr(pair, column), source, pictures, images) for column in _COLUMNS
                }
                line["tools"] = [function_of(tool) for tool in pair.tools]
                yield {**line, "images": images} if images else line

        return write_lines(output, lines())

    def check(self, output: Path) -> int:
        """The prompt ends before a turn of the assistant, both completions begin with one, and they differ."""
        count = 0
        for where, value in read_lines(output):
            check_chat(value.get("prompt"), f"{where}, prompt", parsed_arguments=True, is_whole=False)
            for column in ("chosen", "rejected"):
                _check_completion(value.get(column), f"{where}, {column}")
            if value["prompt"][-1]["role"] == "assistant":  # type: ignore[index]
                raise Unfit(f"{where}: the prompt ends with the assistant")
            if value["chosen"] == value["rejected"]:
                raise Unfit(f"{where}: what is chosen is what is rejected")
            check_tools(value.get("tools"), where)
            check_pictures(value, _COLUMNS, where)
            count += 1
        return count


def _check_completion(messages: Any, where: str) -> None:
    """A whole rest of a conversation, or one turn whose calls are not answered yet."""
    if not isinstance(messages, list) or not messages or messages[0].get("role") != "assistant":
        raise Unfit(f"{where}: it does not begin with the assistant")
    if len(messages) == 1 and messages[0].get("tool_calls"):
        ids = [call["id"] for call in messages[0]["tool_calls"]]
        messages = [*messages, *({"role": "tool", "content": "", "tool_call_id": id} for id in ids)]
        check_chat(messages, where, parsed_arguments=True, is_whole=False)
        return
    check_chat([{"role": "user", "content": ""}, *messages], where, parsed_arguments=True)


# ---- syntheses


def _of_trees(examples: Iterator[Example]) -> Iterator[_Pair]:
    for example in examples:
        steps = [node for node in example.path if node.tool is not None]
        begin = len(example.messages) - 1 - 2 * len(steps)  # before the calls, their results and the answer
        for number, node in enumerate(steps):
            worse = worse_sibling(node, example.tree)
            if worse is None:
                continue
            at = begin + 2 * number
            yield _Pair(
                prompt=example.messages[:at],
                chosen=(example.messages[at],),
                rejected=(
                    assistant(
                        worse.intent, tool_calls=(call_of(worse, f"call_{number}"),), reasoning=worse.reasoning or None
                    ),
                ),
                tools=example.tools,
            )


def worse_sibling(node: Node, tree: Sequence[Node]) -> Node | None:
    """The worst other step from where ``node`` starts: one that failed, else a stale one, else one that told less.

    None where there is none, or where it is on a kept path or the same call.
    """
    if node.error is not None:
        return None
    candidates = [
        other
        for other in tree
        if other.parent == node.parent
        and other.id != node.id
        and other.tool is not None
        and not other.kept_by
        and (other.tool, other.params) != (node.tool, node.params)
        and (other.error is not None or (other.stale and not node.stale) or other.novelty < node.novelty)
    ]
    return min(
        candidates, key=lambda other: (other.error is None, not other.stale, other.novelty, other.id), default=None
    )


# ---- rollouts


def _of_samples(source: Source, examples: Iterator[Example]) -> Iterator[_Pair]:
    for _, group in groupby(examples, key=lambda example: example.result.task_id if example.result else ""):
        samples = list(group)
        metric = _metric(samples)
        if metric is None:
            source.left_out["no score"] += len(samples)
            continue
        scored = sorted(((_score(sample, metric), number) for number, sample in enumerate(samples)), reverse=True)
        best = [samples[number] for score, number in scored if score >= PASSED]
        worst = [samples[number] for score, number in reversed(scored) if 0 <= score < PASSED]
        if not best or not worst:
            source.left_out["samples of a question that all passed or all failed"] += len(samples)
        for chosen, rejected in zip(best, worst, strict=False):
            pair = _paired(chosen, rejected)
            if pair is None:
                source.left_out["samples that begin differently"] += 1
            else:
                yield pair


def _metric(samples: Sequence[Example]) -> str | None:
    names = [
        name for sample in samples if sample.result for name, score in sample.result.scores.items() if score.graded
    ]
    return next(iter(names), None)


def _score(sample: Example, metric: str) -> float:
    score = sample.result.scores.get(metric) if sample.result is not None else None
    return score.value if score is not None and score.graded else -1.0


def _paired(chosen: Example, rejected: Example) -> _Pair | None:
    """The pair, if both samples were asked the same."""
    begin = next(number for number, message in enumerate(chosen.messages) if message.role == "assistant")
    prompt = chosen.messages[:begin]
    rest, other = chosen.messages[begin:], rejected.messages[begin:]
    if (
        not begin
        or rejected.messages[:begin] != prompt
        or other[:1] == ()
        or other[0].role != "assistant"
        or rest == other
    ):
        return None
    return _Pair(prompt=prompt, chosen=rest, rejected=other, tools=chosen.tools)
