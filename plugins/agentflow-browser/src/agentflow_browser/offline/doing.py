"""Do a task step by step: each of its clauses is an errand on the site, its words are matched with labels.

An errand is written as a generator: it yields an action and is sent what was seen then. Since all of it depends on the
task and on the pages alone, the errands are gone through from the start at every turn, up to the first new action.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final

from agentflow_browser.offline.answering import Asked, amount, reached
from agentflow_browser.offline.looking import follow, look_on, search
from agentflow_browser.offline.pages import FIELDS
from agentflow_browser.offline.seen import Seen, entity, page_of
from agentflow_browser.offline.words import number_word, stem, stems
from agentflow_core.records import Action
from agentflow_core.text import canonical_url, quoted, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentflow_browser.offline.elements import Element
    from agentflow_browser.offline.pages import Page, Row
    from agentflow_core.records import SolveInputs

__all__ = ["clauses", "next_action"]

Errand = Generator[Action, Seen, Seen]

_VERBS: Final = (
    "put|add|buy|order|place|open|go|visit|show|see|search|look|sort|filter|choose|select|send|write|fill|submit|press|click|"
    "remove|delete|take|leave|enter|type|check|tick|find|list|return"
)
_PARTS: Final = re.compile(
    rf"(?:[.;]\s+|,?\s+(?:and\s+)?then\s+|,\s+(?:and\s+)?(?=(?:{_VERBS})\b)|\s+and\s+(?=(?:{_VERBS})\b))", re.IGNORECASE
)
_QUOTED: Final = re.compile(r"[\"“][^\"”]*[\"”]")
#: Between the things of a list: each begins with an article or a number.
_ANOTHER: Final = re.compile(
    r"(?:,|\s+and|,\s*and)\s+(?=(?:an?|the|\d+|one|two|three|four|five|six|seven|eight|nine|ten)\s)", re.IGNORECASE
)
_BUYS: Final = re.compile(r"\b(?:cart|basket|bag)\b", re.IGNORECASE)
_DESCENDING: Final = re.compile(
    r"\b(?:highest|most|greatest|largest|descending|falling|dearest|newest|latest|z to a)\b", re.IGNORECASE
)
#: What is written on the button for what a task asks to do.
_DOES: Final = {"put": "add", "buy": "add", "basket": "cart", "bag": "cart", "delete": "remove", "take": "remove"}
_LONGEST_WAY: Final = 12


def next_action(inputs: SolveInputs) -> Action | None:
    """The first action of the task that was not taken yet; None when there is none left."""
    states: list[Seen] = []
    seen = Seen()
    for number, step in enumerate(inputs.steps):
        if step.tool.startswith("browser:"):
            page = page_of(step.tool, step.params, step.result, str(number))
            seen = Seen(
                pages=[*seen.pages, *([page] if page is not None else [])], done=[*seen.done, (step.tool, step.params)]
            )
            states.append(seen)
    first = next((at for at, state in enumerate(states) if state.now is not None), None)
    if first is None:
        return None
    errands = _perform(inputs.question, states[first])
    try:
        action = next(errands)
        for state in states[first + 1 :]:
            action = errands.send(state)
    except StopIteration:
        return None
    return action


def clauses(task: str) -> list[str]:
    """The parts of a task that each begin with a verb; what is quoted stays whole."""
    kept: list[str] = []

    def hide(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"\0{len(kept) - 1}\0"

    hidden = _QUOTED.sub(hide, task.strip().rstrip("."))
    parts = [part for part in _PARTS.split(hidden) if part and part.strip()]
    return [re.sub(r"\0(\d+)\0", lambda found: kept[int(found[1])], part).strip() for part in parts]


def _perform(task: str, seen: Seen) -> Errand:
    for clause in clauses(task):
        seen = yield from _errand(clause)(clause, seen)
    return (yield Action(tool="browser:screenshot", params={}, intent="See how the page looks now."))


def _errand(clause: str) -> Callable[[str, Seen], Errand]:
    words = tokens(clause)
    verb = words[0] if words else ""
    if verb in ("search", "look") and "for" in words:
        return _search
    if verb == "sort":
        return _sort
    if verb == "filter" or (verb in ("show", "list") and "only" in words):
        return _filter
    if verb in ("remove", "delete", "take", "press", "click"):
        return _press
    if verb in ("put", "add", "buy", "order") and _BUYS.search(clause):
        return _put
    if verb in ("send", "write", "fill", "submit", "place", "order", "enter", "choose", "select"):
        return _fill
    return _open


# ---- errands


def _open(clause: str, seen: Seen) -> Errand:
    return (yield from _go_to(_without_verb(clause), seen))


def _search(clause: str, seen: Seen) -> Errand:
    named = quoted(clause)
    words = named[0] if named else re.split(r"\bfor\b", clause, maxsplit=1, flags=re.IGNORECASE)[-1].strip()
    action = search(seen.now, words, seen) if seen.now is not None else None
    if action is not None:
        seen = yield action
    return seen


def _put(clause: str, seen: Seen) -> Errand:
    """For each thing: go to its page, say how many, press the button."""
    what = _BUYS.split(_without_verb(clause))[0]
    what = re.sub(r"\b(?:in|into|to)(?: the| my| your)?\s*$", "", what.strip(), flags=re.IGNORECASE)
    for thing in _ANOTHER.split(what):
        counts = [count for word in tokens(thing) if (count := number_word(word)) is not None]
        name = " ".join(word for word in thing.split() if number_word(word.lower()) is None)
        seen = yield from _go_to(name, seen)
        field = next((each for each in _elements(seen, "spinbutton") if each.ref), None)
        if field is not None and counts and field.text != str(counts[0]):
            params = {"ref": field.ref, "text": str(counts[0])}
            seen = yield Action(tool="browser:type", params=params, intent=f"Set {field.label} to {counts[0]}.")
        seen = yield from _press(clause, seen)
    return seen


def _press(clause: str, seen: Seen) -> Errand:
    """Press the button whose label has the most words of the clause, or means them."""
    words = {stem(_DOES.get(word, word)) for word in tokens(clause)} | set(stems(clause))
    buttons = [each for each in _elements(seen, "button") if each.ref and "disabled" not in each.states]
    ranked = sorted(buttons, key=lambda each: -len(words & set(stems(each.label))))
    if ranked and words & set(stems(ranked[0].label)):
        intent = f"Press {ranked[0].label!r}."
        seen = yield Action(tool="browser:click", params={"ref": ranked[0].ref}, intent=intent)
    return seen


def _sort(clause: str, seen: Seen) -> Errand:
    """Go to the list, and click the heading of the column until the order is right."""
    what, _, by = _without_verb(clause).partition(" by ")
    seen = yield from _go_to(what, seen)
    column = Asked(re.split(r",| from | with | in ", by)[0])
    for _ in range(2):
        page = seen.now
        heads = [each for each in _elements(seen, "link") if each.within("columnheader") is not None]
        head = next((each for each in heads if each.ref and set(stems(each.label)) & column.all), None)
        if page is None or head is None or _is_sorted(page, head.label, is_falling=bool(_DESCENDING.search(by))):
            return seen
        seen = yield Action(tool="browser:click", params={"ref": head.ref}, intent=f"Sort by {head.label}.")
    return seen


def _is_sorted(page: Page, column: str, *, is_falling: bool) -> bool:
    """Whether the column is in order; not for the list that nobody has sorted, since it may be so by chance."""
    if "?" not in page.url:
        return False
    table = next((table for table in page.tables if column in table.columns), None)
    values = [amount(row.cells[column].label) for row in table.rows] if table is not None else []
    known = [value for value in values if value is not None]
    return len(known) > 1 and known == sorted(known, reverse=is_falling)


def _filter(clause: str, seen: Seen) -> Errand:
    """Go to the list, choose the value that is named, press the button beside it."""
    words = _without_verb(clause)
    chosen = _choice(words, seen)
    if chosen is None:
        seen = yield from _go_to(words, seen, until=lambda now: _choice(words, now) is not None)
        chosen = _choice(words, seen)
    if chosen is None:
        return seen
    box, option = chosen
    seen = yield _select(box, option)
    return (yield from _submit(box, seen))


def _choice(words: str, seen: Seen) -> tuple[Element, str] | None:
    """A list of options and the one of them that is named."""
    asked = Asked(words)
    for box in _elements(seen, "combobox"):
        for option in box.children:
            if option.role == "option" and "selected" not in option.states and asked.has(option.label) and box.ref:
                return box, option.label
    return None


def _select(box: Element, option: str) -> Action:
    intent = f"Choose {option!r} as {box.label}."
    return Action(tool="browser:select", params={"ref": box.ref, "options": [option]}, intent=intent)


def _fill(clause: str, seen: Seen) -> Errand:
    """Go to the form, fill in what the clause says of its fields, and send it."""
    outside = _QUOTED.sub(" ", clause)
    if not _form(clause, seen):
        seen = yield from _go_to(_without_verb(outside), seen, until=lambda now: bool(_form(clause, now)))
    fields = _form(clause, seen)
    values = {str(each.ref): value for each in fields if (value := _filled(each, clause)) is not None}
    if values:
        labels = ", ".join(each.label for each in fields if each.ref in values)
        seen = yield Action(tool="browser:fill_form", params={"fields": values}, intent=f"Fill in {labels}.")
    return (yield from _submit(fields[0], seen)) if fields else seen


def _form(clause: str, seen: Seen) -> list[Element]:
    """The fields of the form of which the clause names most."""
    roles = (*FIELDS, "combobox", "checkbox", "radio")
    forms: dict[int, list[Element]] = {}
    for each in _elements(seen, *roles):
        around = each.within("form", "dialog", "main")
        if each.ref and each.role != "searchbox":
            forms.setdefault(id(around), []).append(each)
    named = [(sum(_value(each, clause) is not None for each in fields), fields) for fields in forms.values()]
    best = max(named, key=lambda item: item[0], default=(0, []))
    return best[1] if best[0] else []


def _value(field: Element, clause: str) -> str | None:
    """What the clause says is to be typed into a field: what is quoted right after its label."""
    label = r"\s+".join(map(re.escape, tokens(field.label)))
    found = re.search(rf"\b{label}\b(?:\s+(?:is|as|of|to|with)|:)?\s*[\"“]([^\"”]*)[\"”]", clause, re.IGNORECASE)
    return found[1] if found and label else None


def _filled(field: Element, clause: str) -> str | bool | None:
    """What a field shall have that it has not: a text, the label of an option, true for a box."""
    if field.role in FIELDS or field.role == "combobox":
        value = _value(field, clause)
        options = [each.label for each in field.children if each.role == "option" and "selected" not in each.states]
        return value if value != field.text and (field.role in FIELDS or value in options) else None
    is_meant = bool(stems(field.label)) and set(stems(field.label)) <= set(stems(clause))
    return True if is_meant and "checked" not in field.states else None


def _submit(field: Element, seen: Seen) -> Errand:
    """Press the last button of the form that a field is in."""
    form = field.within("form", "dialog", "search")
    buttons = [each for each in form.walk() if each.role == "button" and each.ref] if form is not None else []
    if buttons:
        intent = f"Press {buttons[-1].label!r}."
        seen = yield Action(tool="browser:click", params={"ref": buttons[-1].ref}, intent=intent)
    return seen


# ---- the way to a page


def _go_to(what: str, seen: Seen, *, until: Callable[[Seen], bool] = lambda _: False) -> Errand:
    """Follow links until the page that is meant is open; stop where nothing leads on."""
    tried: set[str] = set()
    for _ in range(_LONGEST_WAY):
        if seen.now is None or until(seen):
            return seen
        action = _step_to(what, seen)
        if action is _HERE or action is None or (key := f"{action.tool}{sorted(action.params.items())}") in tried:
            return seen
        tried.add(key)
        seen = yield action
    return seen


#: Stands for: the page is open.
_HERE: Final = Action(tool="")


def _step_to(what: str, seen: Seen) -> Action | None:
    asked = Asked(what, seen.site)
    page = seen.now
    if page is None or not asked.words:
        return None
    for name in _meant(asked, seen):
        if entity(page.heading) == entity(name):
            return _HERE
        link = _link_named(name, seen)
        if link is not None:
            return follow(seen, *link)
    labelled = [
        (len(stems(link.label)), at, where, link)
        for at, (where, link) in enumerate(seen.links.values())
        if link.within("columnheader") is None and asked.share(asked.of(link.label)) == 1.0
    ]
    if labelled:
        *_, where, best = min(labelled, key=lambda item: item[:2])
        if canonical_url(where.address(best)) == canonical_url(page.url):
            return _HERE
        return follow(seen, where, best)
    return look_on(what, seen)


def _meant(asked: Asked, seen: Seen) -> Iterable[str]:
    """What the words mean as a whole: a name, what facts lead to, the first row that is as described."""
    for each in reversed(reached(asked, seen)):
        if each.sure == 1.0 and asked.share(each.explained) == 1.0:
            yield each.text
    for table in seen.tables:
        for row in table.rows:
            if asked.of(table.caption, table.columns[0]) and asked.share(_told(row, table.caption, asked)) == 1.0:
                yield row.name


def _told(row: Row, caption: str, asked: Asked) -> frozenset[str]:
    return asked.of(caption, *row.cells, *(cell.label for cell in row.cells.values()))


def _link_named(name: str, seen: Seen) -> tuple[Page, Element] | None:
    found = [at for at in seen.links.values() if entity(at[1].label) == entity(name)]
    return next((at for at in found if at[0] is seen.now), found[-1] if found else None)


def _elements(seen: Seen, *roles: str) -> list[Element]:
    return [each for each in seen.now.walk() if each.role in roles] if seen.now is not None else []


def _without_verb(clause: str) -> str:
    """The clause without the verb, and without the words that go with it."""
    return re.sub(
        rf"^(?:{_VERBS})\s+(?:(?:to|up|in|out|the page of|the page)\s+)*(?:only\s+)?",
        "",
        clause.strip(),
        flags=re.IGNORECASE,
    )
