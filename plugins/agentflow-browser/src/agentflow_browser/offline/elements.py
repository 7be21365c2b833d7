"""Read an accessibility snapshot, as browser tools show it, into elements."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Element", "read_elements"]

_LINE: Final = re.compile(r"^(?P<indent> *)- (?P<body>\S.*)$")
_HEAD: Final = re.compile(
    r"(?P<role>[a-zA-Z]+)(?: (?P<name>\"(?:[^\"\\]|\\.)*\"))?(?P<states>(?: \[[^\]]*\])*)(?: ?:(?: (?P<text>.*))?)?$"
)
_QUOTABLE: Final = 8  #: characters of a text that can be evidence by itself
_STATE: Final = re.compile(r"\[([\w-]+)(?:=([^\]]*))?\]")


@define(eq=False)
class Element:
    """One line of a snapshot and what is inside it."""

    role: str
    name: str = ""
    ref: str | None = None
    states: dict[str, str] = field(factory=dict)  #: such as ``checked``, ``selected``, ``level``
    text: str = ""  #: what stands behind the colon: the value of a field, the text of a paragraph
    url: str | None = None  #: where a link leads, as the page writes it
    quote: str = ""  #: role and name, verbatim
    parent: Element | None = field(default=None, repr=False)
    children: list[Element] = field(factory=list, repr=False)

    @property
    def label(self) -> str:
        """What it is called: its name, else its text, else what is inside it."""
        return self.name or self.text or " ".join(filter(None, (child.label for child in self.children)))

    def walk(self) -> Iterator[Element]:
        """The element and all inside it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def within(self, *roles: str) -> Element | None:
        """The nearest element around it that has one of the roles."""
        around = self.parent
        while around is not None and around.role not in roles:
            around = around.parent
        return around

    def first(self, role: str) -> Element | None:
        """The first element of a role inside it."""
        return next((each for each in self.walk() if each.role == role and each is not self), None)


def read_elements(snapshot: str) -> list[Element]:
    """The outermost elements of a snapshot; lines that are none are passed over."""
    top: list[Element] = []
    around: list[tuple[int, Element]] = []
    for line in snapshot.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        depth, body = len(found["indent"]), found["body"]
        while around and around[-1][0] >= depth:
            around.pop()
        parent = around[-1][1] if around else None
        if body.startswith("/"):
            key, _, value = body.partition(": ")
            if key == "/url" and parent is not None:
                parent.url = _plain(value)
            continue
        element = _element(body)
        if element is None:
            continue
        element.parent = parent
        (top if parent is None else parent.children).append(element)
        around.append((depth, element))
    return top


def _element(body: str) -> Element | None:
    if body.startswith("'"):  # a key that YAML would misread is quoted as a whole
        key, _, rest = body[1:].replace("''", "\0").partition("'")
        body = f"{key}{rest}".replace("\0", "'")
    head = _HEAD.match(body)
    if head is None:
        return None
    states = {key: value or "true" for key, value in _STATE.findall(head["states"])}
    role, name, text = head["role"], head["name"] or "", head["text"] or ""
    element = Element(
        role=role,
        name=_plain(name),
        ref=states.pop("ref", None),
        url=states.pop("url", None),
        states=states,
        text=_plain(text),
        quote=f"{role} {name}" if name else f"{role}: {text}" if text and not head["states"] else text,
    )
    if role == "row" and element.text:  # a row of plain cells is one line
        if len(element.text) >= _QUOTABLE:
            element.quote = text.strip().strip('"')
        element.children = [
            Element(role="cell", text=cell.strip(), quote=element.quote, parent=element)
            for cell in element.text.split(" | ")
        ]
    return element


def _plain(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text
