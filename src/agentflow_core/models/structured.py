"""Read JSON out of what a model says: the one parser of structured answers, and asking again when it fails."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import evolve, field, frozen

from agentflow_core.errors import BadOutputError
from agentflow_core.records import Completion, Usage, assistant, clean_json, user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agentflow_core.interfaces import ChatModel
    from agentflow_core.records import ModelRequest

__all__ = ["Asked", "ask", "parse_json"]

T = TypeVar("T")

_FENCE = re.compile(r"```[ \t]*[\w+-]*[ \t]*\r?\n?(.*?)```", re.DOTALL)
_THINKING = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_OPENING = re.compile(r"[{\[]")
#: Where a JSON value may begin in prose: enough for any honest answer, few enough for a hostile one.
_STARTS = 400
#: What the repair library gets to see at most; it is slow on long garbage.
_REPAIR_CHARS = 100_000
_SHOWN_CHARS = 2_000


@frozen(kw_only=True)
class Asked(Generic[T]):
    """A parsed answer, the completion it came from, and the usage of all requests that were needed for it."""

    value: T
    completion: Completion
    usage: Usage = field(default=Usage())


async def ask(model: ChatModel, request: ModelRequest, parse: Callable[[Any], T], *, attempts: int = 2) -> Asked[T]:
    """Ask for a JSON answer and parse it; an answer that cannot be used is asked for again with the reason.

    ``parse`` gets the JSON value and returns what is wanted of it; it raises ``ValueError``, ``TypeError``,
    ``LookupError``, `BadOutputError` or a cattrs validation error for a value that does not fit. Each further
    request is a new one, with the answer and what was wrong with it as messages; ``attempts`` counts all requests.

    Raises:
        BadOutputError: no answer could be used; ``attempts`` holds what was wrong with each.
        ModelError: what the model raises.
    """
    from cattrs.errors import BaseValidationError

    wrong: list[str] = []
    usage = Usage()
    asked = request
    while True:
        completion = await model.complete(asked)
        usage += completion.usage
        try:
            value = completion.parsed
            if value is None:
                value = parse_json(completion.text, request.response_schema)
            return Asked(value=parse(value), completion=completion, usage=usage)
        except (BadOutputError, ValueError, TypeError, LookupError, BaseValidationError) as error:
            reason = _reason(error, completion)
            wrong.append(reason)
            if len(wrong) >= attempts:
                failure = BadOutputError(
                    f"{model.name}: no usable answer in {len(wrong)} attempts: {reason}", output=completion.text
                )
                failure.attempts = tuple(wrong)
                raise failure from error
        asked = evolve(
            asked,
            messages=(
                *asked.messages,
                assistant(completion.text[:_SHOWN_CHARS]),
                user(f"That answer cannot be used: {reason}\nAnswer again, with only the JSON value."),
            ),
        )


def _reason(error: Exception, completion: Completion) -> str:
    if completion.finish_reason == "length":
        return "it was cut off at the token limit; be shorter"
    from cattrs import transform_error
    from cattrs.errors import BaseValidationError

    if isinstance(error, BaseValidationError):
        return "; ".join(transform_error(error))
    if isinstance(error, BadOutputError):
        return error.message
    if isinstance(error, KeyError):
        return f"the key {error} is missing"
    return str(error) or type(error).__name__


def parse_json(text: str, schema: Mapping[str, Any] | None = None) -> Any:
    """The JSON value in ``text``: the whole text, the content of a code fence, the longest value in the prose, or
    what repairing the text gives (missing brackets, single quotes, trailing commas), in this order.

    A value of the type that ``schema`` asks for wins over one of another type.

    Raises:
        BadOutputError: there is no JSON value in it.
    """
    stripped = text.strip().lstrip("\ufeff")
    fallback: list[Any] = []
    for value in _candidates(stripped):
        if _fits(value, schema):
            return _encodable(value)
        fallback.append(value)
    if fallback:
        return _encodable(fallback[0])
    if not stripped:
        raise BadOutputError("the answer is empty", output=text)
    raise BadOutputError("the answer holds no JSON value", output=text)


def _encodable(value: Any) -> Any:
    """The value, without the lone surrogates that JSON can escape and UTF-8 cannot hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return clean_json(value)
    return value


def _candidates(text: str) -> Iterator[Any]:
    for whole in (text, _THINKING.sub("", text).strip()):
        found, value = _decode(whole)
        if found:
            yield value
    fences = [match.group(1).strip() for match in _FENCE.finditer(text)]
    for fence in reversed(fences):  # a model that corrects itself says the right one last
        found, value = _decode(fence)
        if found:
            yield value
    yield from _embedded(text)
    for piece in (*reversed(fences), _from_first_bracket(text)):
        found, value = _repair(piece)
        if found:
            yield value


def _decode(text: str) -> tuple[bool, Any]:
    try:
        return True, _DECODER.decode(text)
    except (ValueError, RecursionError):
        return False, None


def _embedded(text: str) -> list[Any]:
    """The objects and lists that stand in the text, the longest first, none that is part of another."""
    found: list[tuple[int, int, Any]] = []
    position = 0
    for _ in range(_STARTS):
        match = _OPENING.search(text, position)
        if match is None:
            break
        try:
            value, end = _DECODER.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            position = match.start() + 1
            continue
        found.append((match.start() - end, -match.start(), value))
        position = end
    found.sort(key=lambda item: item[:2])
    return [value for _, _, value in found]


def _repair(text: str) -> tuple[bool, Any]:
    if not text or len(text) > _REPAIR_CHARS:
        return False, None
    import json_repair  # only for answers that are not JSON

    try:
        value = json_repair.loads(text)
    except (ValueError, RecursionError, IndexError):  # what the library lets through on hostile text
        return False, None
    return isinstance(value, dict | list) and bool(value), value


def _from_first_bracket(text: str) -> str:
    match = _OPENING.search(text)
    return text[match.start() :] if match else ""


def _fits(value: Any, schema: Mapping[str, Any] | None) -> bool:
    wanted = schema.get("type") if schema else None
    if not isinstance(wanted, str) or wanted not in _TYPES:
        return True
    if not isinstance(value, _TYPES[wanted]) or (isinstance(value, bool) and wanted != "boolean"):
        return False
    if schema is None or not isinstance(value, dict):
        return True
    return all(name in value for name in schema.get("required", ()))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}
