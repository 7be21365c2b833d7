"""The conditions of ``--where``: a small language over the fields of a record, parsed and evaluated here, never as Python.

::

    condition  = all { "or" all }
    all        = each { "and" each }
    each       = "not" each | "(" condition ")" | test
    test       = value [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in" ) value ]
    value      = field | text | number | "true" | "false" | "null" | "[" value { "," value } "]"
    field      = name { "." ( name | number | text ) }

A field that a record does not have is null. Values are equal as in JSON: 1 is 1.0, and true is not 1. Order is of two
numbers or two texts; of anything else ``<`` and its kin are false. ``x in y`` holds for an item of a list, a part of a
text and a key of an object. A step of a field into a list is an index, or the ``name`` of an item, as in
``gates.leak.passed``. A test without an operator holds where its value is true.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.errors import UsageError
from agentflow_core.export.conditions import (
    COMPARISONS,
    STEP,
    All,
    Compare,
    Condition,
    Either,
    Field,
    Items,
    Not,
    Operand,
    Operator,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["parse_where"]

_DEPTH = 100  #: how deep parentheses and ``not`` may stand in each other
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.]))
      | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<name>[^\W\d][\w-]*(?:\.(?:[\w-]+|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))*)
      | (?P<sign>==|!=|<=|>=|<|>|[()\[\],])
    )""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"and", "or", "not", "in"}
_CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
#: What other languages write, and what is written here.
_ELSEWHERE = {"=": "==", "&&": "and", "||": "or", "&": "and", "|": "or", "!": "not", "<>": "!=", "===": "=="}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def parse_where(text: str) -> Condition:
    """The condition that a text says.

    Raises:
        UsageError: it is none; names the column, counted from 1, and shows the place.
    """
    return _Parser(text).whole()


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1], flags=re.DOTALL)


@frozen
class _Token:
    kind: str  #: number, text, name, sign or end
    text: str
    column: int  #: counted from 0


class _Parser:
    """Recursive descent; a nesting deeper than ``_DEPTH`` is refused before Python's own stack would be."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._split()
        self.at = 0
        self.depth = 0

    def whole(self) -> Condition:
        if self.tokens[0].kind == "end":
            raise self.error(self.tokens[0], "a condition is expected")
        condition = self.condition()
        if self.token.kind != "end":
            raise self.error(self.token, f"'and', 'or' or the end is expected, not {self.token.text!r}")
        return condition

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def take(self, *texts: str) -> bool:
        """Step over the next token if it is one of the words or signs."""
        found = self.token.kind in ("name", "sign") and self.token.text in texts
        self.at += found
        return found

    def condition(self) -> Condition:
        conditions = [self.all()]
        while self.take("or"):
            conditions.append(self.all())
        return conditions[0] if len(conditions) == 1 else Either(tuple(conditions))

    def all(self) -> Condition:
        conditions = [self.each()]
        while self.take("and"):
            conditions.append(self.each())
        return conditions[0] if len(conditions) == 1 else All(tuple(conditions))

    def each(self) -> Condition:
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.error(self.token, f"nested more than {_DEPTH} deep")
        try:
            if self.take("not"):
                return Not(self.each())
            if self.take("("):
                condition = self.condition()
                self.close(")")
                return condition
            return self.test()
        finally:
            self.depth -= 1

    def test(self) -> Compare:
        begin = self.token
        left = self.operand()
        operator = self.operator()
        if operator is None:
            if not isinstance(left, Field) and not (isinstance(left, Value) and isinstance(left.value, bool)):
                raise self.error(begin, "a value alone is no condition: compare it with something")
            return Compare(left)
        right = self.operand()
        if (chained := self.token).kind == "sign" and chained.text in COMPARISONS:
            raise self.error(chained, "comparisons are not chained: write a < b and b < c")
        return Compare(left, operator, right)

    def operator(self) -> Operator | None:
        token = self.token
        if token.kind == "sign" and token.text in COMPARISONS:
            self.at += 1
            return token.text  # type: ignore[return-value]
        if self.take("in"):
            return "in"
        if self.take("not"):
            if not self.take("in"):
                raise self.error(self.token, "'in' is expected after 'not'")
            return "not in"
        return None

    def operand(self) -> Operand:
        token = self.token
        self.at += 1
        if token.kind == "number":
            return Value(_number(token.text))
        if token.kind == "text":
            return Value(_unquoted(token.text))
        if token.kind == "name" and token.text not in _WORDS:
            if token.text.lower() in _CONSTANTS or token.text == "None":
                return Value(_CONSTANTS.get(token.text.lower()))
            return Field(tuple(_unquoted(step) if step[0] in "'\"" else step for step in STEP.findall(token.text)))
        if token.kind == "sign" and token.text == "[":
            return self.items()
        self.at -= 1
        found = "the end" if token.kind == "end" else repr(token.text)
        raise self.error(token, f"a field, a text or a number is expected, not {found}")

    def items(self) -> Items:
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.error(self.token, f"nested more than {_DEPTH} deep")
        found: list[Operand] = []
        while not self.take("]"):
            if found and not self.take(","):
                raise self.error(self.token, "',' or ']' is expected")
            found.append(self.operand())
        self.depth -= 1
        return Items(tuple(found))

    def close(self, sign: str) -> None:
        if not self.take(sign):
            found = "the end" if self.token.kind == "end" else repr(self.token.text)
            raise self.error(self.token, f"{sign!r} is expected, not {found}")

    def _split(self) -> list[_Token]:
        tokens = []
        at = 0
        while rest := self.text[at:].lstrip():
            at = len(self.text) - len(rest)
            found = _TOKEN.match(self.text, at)
            if found is None or self.text.startswith("===", at):
                raise self._unreadable(at)
            kind = found.lastgroup or ""
            tokens.append(_Token(kind, found[kind], found.start(kind)))
            at = found.end()
        return [*tokens, _Token("end", "", len(self.text))]

    def _unreadable(self, at: int) -> UsageError:
        token = _Token("sign", self.text[at], at)
        if token.text in "'\"":
            return self.error(token, f"the text that begins with {token.text} does not end")
        sign = re.match(r"[=&|!<>]+", self.text[at:])
        if sign is not None and sign[0] in _ELSEWHERE:
            return self.error(token, f"{sign[0]!r} is written {_ELSEWHERE[sign[0]]!r} here")
        return self.error(token, f"{token.text!r} is not understood")

    def error(self, token: _Token, message: str) -> UsageError:
        start = max(0, token.column - 60)
        shown = "".join(char if char.isprintable() else " " for char in self.text[start : token.column + 40])
        return UsageError(
            f"--where, column {token.column + 1}: {message}", hint=f"{shown}\n{' ' * (token.column - start)}^"
        )


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdecimal() and len(text) < 20 else float(text)
