"""Explore a site: follow links that were not tried, what leads from a value first; then lists, forms and buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from agentflow_browser.offline.pages import FIELDS
from agentflow_browser.offline.seen import entity, seen_on_path
from agentflow_browser.offline.words import content, stems
from agentflow_core.records import Action
from agentflow_core.text import action_key, canonical_url, hash64

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentflow_browser.offline.elements import Element
    from agentflow_browser.offline.pages import Page
    from agentflow_browser.offline.seen import Seen
    from agentflow_core.records import ProposeInputs

__all__ = ["propose"]

_NAVIGATE: Final = "browser:navigate"
_SNAPSHOT: Final = "browser:snapshot"
_CLICK: Final = "browser:click"
_TYPE: Final = "browser:type"
_SELECT: Final = "browser:select"
_READ: Final = "browser:read"
_SCREENSHOT: Final = "browser:screenshot"
_DIALOG: Final = "browser:dialog"

#: How promising it is to follow a link: one that a value is, one in a row or list, one elsewhere on the page, one of a menu.
_FROM_VALUE: Final = 4.5
_IN_ROW: Final = 2.0
_ELSEWHERE: Final = 1.2
_MENU: Final = 0.5
_SORTING: Final = 0.2
_ABOUT: Final = 2.5  #: more, for a label of the subject
_BACK: Final = 0.4  #: less, for a link of an earlier page
_FORM: Final = 0.9
_TRY_FORMS: Final = 4.5  #: more for fields and buttons, at one node of so many as `_OFTEN` says
_OFTEN: Final = 5


@frozen(kw_only=True)
class _Wish:
    score: float
    actions: tuple[Action, ...]  #: the same thing done in several ways, the first that is not taken is meant


def propose(inputs: ProposeInputs) -> list[Action]:
    """Up to ``inputs.k`` different actions that are not taken and that the offered tools allow, best first."""
    offered = {tool.name for tool in inputs.tools}
    schemas = {tool.name: tool.parameters for tool in inputs.tools}
    taken = {_key(action, schemas) for action in inputs.taken}
    seen = seen_on_path(inputs.path)
    wishes = sorted(_wishes(seen, inputs), key=lambda wish: -wish.score)
    chosen: list[Action] = []
    for wish in wishes:
        for action in wish.actions:
            key = _key(action, schemas)
            if action.tool in offered and key not in taken:
                taken.add(key)
                chosen.append(action)
                break
        if len(chosen) == inputs.k:
            break
    return chosen


def _key(action: Action, schemas: Mapping[str, Mapping[str, Any]]) -> str:
    return action_key(action.tool, action.params, schemas.get(action.tool))


def _wishes(seen: Seen, inputs: ProposeInputs) -> Iterator[_Wish]:
    page = seen.now
    if inputs.path[-1].error == "blocked_by_dialog":
        answer = Action(tool=_DIALOG, params={"accept": True}, intent="Answer the dialog.")
        yield _Wish(score=9, actions=(answer,))
    if page is None:
        yield from _begin(inputs)
        return
    topic = set(stems(inputs.seed.content))
    salt = inputs.path[-1].id
    found = list(_links(page, seen, topic))
    for earlier in reversed(seen.pages[:-1]):
        found += [_Wish(score=wish.score - _BACK, actions=wish.actions[1:]) for wish in _links(earlier, seen, topic)]
    best: dict[str, _Wish] = {}
    for wish in found:
        where = str(wish.actions[-1].params.get("url"))
        if wish.actions and (where not in best or best[where].score < wish.score):
            best[where] = wish
    order = sorted(best.items(), key=lambda item: hash64(f"{salt}\n{item[0].removeprefix(_origin(page.url))}"))
    yield from (wish for _, wish in order)
    more = _TRY_FORMS if hash64(f"{salt}\nforms") % _OFTEN == 0 else 0.0
    yield from (_Wish(score=wish.score + more, actions=wish.actions) for wish in _forms(page, seen, inputs, topic))
    yield _Wish(score=0, actions=(Action(tool=_READ, params={}, intent="Read the page's main text."),))
    yield _Wish(score=0, actions=(Action(tool=_SCREENSHOT, params={}, intent="See what the page looks like."),))


def _begin(inputs: ProposeInputs) -> Iterator[_Wish]:
    url = inputs.seed.kwargs.get("url")
    if isinstance(url, str):
        yield _Wish(score=1, actions=(Action(tool=_NAVIGATE, params={"url": url}, intent=f"Open {url}."),))
    yield _Wish(score=0, actions=(Action(tool=_SNAPSHOT, params={}, intent="See the page that is open."),))


def _links(page: Page, seen: Seen, topic: set[str]) -> Iterator[_Wish]:
    """Links to pages that were not seen: clicked, or, where another branch has clicked so already, gone to."""
    for link in page.links:
        url = page.address(link)
        if canonical_url(url) in seen.visited or not url.startswith(_origin(page.url)):
            continue
        score = _promise(link) + (_ABOUT if topic & set(stems(link.label)) else 0)
        intent = f"Follow {link.label!r}."
        click = Action(tool=_CLICK, params={"ref": link.ref}, intent=intent)
        yield _Wish(score=score, actions=(click, Action(tool=_NAVIGATE, params={"url": url}, intent=intent)))


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _promise(link: Element) -> float:
    cell = link.within("cell", "definition", "columnheader", "listitem", "navigation")
    if cell is None:
        return _ELSEWHERE
    if cell.role == "navigation":
        return _MENU
    if cell.role == "columnheader":
        return _SORTING
    if cell.role == "cell" and cell.parent is not None and cell.parent.children[0] is cell:
        return _IN_ROW
    return _IN_ROW if cell.role == "listitem" else _FROM_VALUE


def _forms(page: Page, seen: Seen, inputs: ProposeInputs, topic: set[str]) -> Iterator[_Wish]:
    """Try the fields and buttons of the page: search for what the subject names, choose from a list, press a button."""
    pressed = page.disturbed and len(seen.pages) > 1 and seen.pages[-2].url == page.url
    for each in page.walk():
        if each.ref is None or (pressed and each.role == "button"):
            continue
        about = _ABOUT / 2 if topic & set(stems(each.label)) else 0
        if each.role == "searchbox":
            rows = [row.name for table in seen.tables for row in table.rows]
            unread = [name for name in rows if all(entity(name) != entity(page.heading) for page in seen.pages)]
            asked = {params.get("text") for _, params in seen.done}
            for name in (name for name in (*unread[-1:], *content(inputs.seed.content)) if name not in asked):
                action = Action(
                    tool=_TYPE, params={"ref": each.ref, "text": name, "submit": True}, intent=f"Search for {name!r}."
                )
                yield _Wish(score=_FORM / 2, actions=(action,))
        elif each.role == "combobox":
            options = [option.label for option in each.children if option.role == "option"]
            for option in options[1:2]:
                action = Action(
                    tool=_SELECT,
                    params={"ref": each.ref, "options": [option]},
                    intent=f"Choose {option!r} as {each.label}.",
                )
                yield _Wish(score=_FORM / 3 + about, actions=(action,))
        elif each.role == "button" and not _submits_empty(each):
            action = Action(tool=_CLICK, params={"ref": each.ref}, intent=f"Press {each.label!r}.")
            yield _Wish(score=_FORM + about, actions=(action,))


def _submits_empty(button: Element) -> bool:
    """Whether the button stands in a form with an empty field."""
    form = button.within("form", "search", "dialog")
    return form is not None and any(each.role in FIELDS and not each.text for each in form.walk())
