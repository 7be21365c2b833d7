"""The offline policy over pages that are written down here: no browser, no site, the same text that the tools show."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from agentflow_browser.offline import BrowserPolicy
from agentflow_browser.offline.answering import answer
from agentflow_browser.offline.doing import clauses
from agentflow_browser.offline.elements import read_elements
from agentflow_browser.offline.english import asks, unit_of
from agentflow_browser.offline.looking import look_on
from agentflow_browser.offline.pages import read_page
from agentflow_browser.offline.seen import Seen
from agentflow_browser.offline.words import stem
from agentflow_core.gates.evidence import AnswerSupported, Grounded
from agentflow_core.gates.form import Leak, Schema, SelfContained
from agentflow_core.gates.hops import Chain, MultiHop
from agentflow_core.interfaces import GateContext
from agentflow_core.records import DraftInputs, Node, Observation, ProposeInputs, Seed, SolveInputs, SolveStep
from agentflow_core.records.messages import ToolDefinition

HOST = "http://shop.example/"
MENU = """\
- banner [ref=g{g}e1]
  - navigation "Shop" [ref=g{g}e2]
    - link "Jugs" [ref=g{g}e3] [url=/jugs]
    - link "Potters" [ref=g{g}e4] [url=/potters]
    - link "Cart (0)" [ref=g{g}e5] [url=/cart]
    - link "Letter" [ref=g{g}e30] [url=/letter]
  - form "Find" [ref=g{g}e6]
    - searchbox "Search" [ref=g{g}e7]
    - button "Search" [ref=g{g}e8]
- main [ref=g{g}e9]
"""
PRODUCT = """\
  - heading "{name}" [level=1] [ref=g{g}e10]
  - table "Details" [ref=g{g}e11]
    - row: "Weight | {weight} kg"
    - row: "Glaze | {glaze}"
    - row
      - rowheader: "Potter"
      - cell
        - link "{potter}" [ref=g{g}e12] [url=/potter/{slug}]
  - form "Buy" [ref=g{g}e13]
    - paragraph
      - spinbutton "Quantity" [ref=g{g}e14]: "1"
    - button "Add to cart" [ref=g{g}e15]
"""
POTTER = """\
  - heading "{name}" [level=1] [ref=g{g}e10]
  - table "About" [ref=g{g}e11]
    - row: "Town | {town}"
    - row: "Founded | {founded}"
"""
PAGES = {
    "/": ("Welcome", '  - heading "Welcome" [level=1] [ref=g{g}e10]\n  - paragraph: "Jugs of all sizes."\n'),
    "/jugs": (
        "Jugs",
        """\
  - heading "Jugs" [level=1] [ref=g{g}e10]
  - form "Filter" [ref=g{g}e16]
    - combobox "Colour" [ref=g{g}e17]
      - option "Any" [selected]
      - option "Green"
    - button "Show" [ref=g{g}e18]
  - table "Jugs" [ref=g{g}e11]
    - row
      - columnheader
        - link "Jug" [ref=g{g}e20] [url=/jugs?sort=jug]
      - columnheader: "Number"
      - columnheader: "Price"
    - row
      - cell
        - link "Heron Jug" [ref=g{g}e12] [url=/jug/heron]
      - cell: "JG-11"
      - cell: "$18.00"
    - row
      - cell
        - link "Wren Jug" [ref=g{g}e13] [url=/jug/wren]
      - cell: "JG-12"
      - cell: "$24.50"
    - row
      - cell
        - link "Swift Jug" [ref=g{g}e14] [url=/jug/swift]
      - cell: "JG-13"
      - cell: "$31.00"
""",
    ),
    "/jug/heron": ("Heron Jug", PRODUCT, {"name": "Heron Jug", "weight": "1.4", "glaze": "blue", "potter": "Ashdown Kiln"}),
    "/jug/wren": ("Wren Jug", PRODUCT, {"name": "Wren Jug", "weight": "0.9", "glaze": "green", "potter": "Ashdown Kiln"}),
    "/jug/swift": ("Swift Jug", PRODUCT, {"name": "Swift Jug", "weight": "2.2", "glaze": "white", "potter": "Coombe Pottery"}),
    "/potter/ashdown-kiln": ("Ashdown Kiln", POTTER, {"name": "Ashdown Kiln", "town": "Merrow", "founded": "1931"}),
    "/potter/coombe-pottery": ("Coombe Pottery", POTTER, {"name": "Coombe Pottery", "town": "Tolven", "founded": "1987"}),
    "/potters": ("Potters", '  - heading "Potters" [level=1] [ref=g{g}e10]\n  - paragraph: "Two potters."\n'),
    "/letter": (
        "Letter",
        """\
  - heading "Letter" [level=1] [ref=g{g}e10]
  - form "Letter" [ref=g{g}e11]
    - combobox "Topic" [ref=g{g}e12]
      - option "Praise" [selected]
      - option "Repairs"
    - textbox "Name" [ref=g{g}e13]
    - textbox "Message" [ref=g{g}e14]
    - checkbox "Send a copy" [ref=g{g}e15]
    - radio "By post" [ref=g{g}e16]
    - button "Send" [ref=g{g}e17]
""",
    ),
    "/cart": ("Cart", '  - heading "Cart" [level=1] [ref=g{g}e10]\n  - paragraph: "The cart is empty."\n'),
}  # fmt: skip
NAMES = ("navigate", "snapshot", "click", "type", "fill_form", "select", "screenshot", "dialog")
TOOLS = tuple(ToolDefinition(name=f"browser:{name}", description="", parameters={}) for name in NAMES)
SEED = Seed(id="s", content="jugs")


class Site:
    """Shows the pages as the tools of a session would, and writes down what is done to them."""

    def __init__(self) -> None:
        self.path = "/"
        self.generation = 1
        self.did = []

    def call(self, tool, params):
        name = tool.partition(":")[2]
        if name == "screenshot":
            return self._result("a picture")
        if name == "navigate":
            return self._go(params["url"])
        if name == "fill_form":
            self.did += [(name, self._element(ref).label, value) for ref, value in params["fields"].items()]
            return self._result("No change is seen.")
        element = self._element(params["ref"]) if "ref" in params else None
        if name == "click" and element.role == "link":
            return self._go(element.url)
        if name == "type" and params.get("submit"):
            return self._go("/jugs")
        if element is not None:
            self.did.append((name, element.label, params.get("text") or params.get("options")))
            return self._result("No change is seen.")
        return self._shown()

    def _go(self, url):
        self.path = urljoin(HOST + self.path.lstrip("/"), url).removeprefix(HOST.rstrip("/"))
        self.generation += 1
        return self._shown()

    def _shown(self):
        title, body, *values = PAGES[self.path.partition("?")[0]]
        told = {"g": self.generation, "slug": ""} | dict(*values)
        told["slug"] = told.get("potter", "").lower().replace(" ", "-")
        self.body = (MENU + body).format(**told)
        return self._result(self.body, f"{title} – Clay & Co")

    def _result(self, body, title="Clay & Co"):
        url = HOST.rstrip("/") + self.path
        text = f"{title}\n{url}\n\n{body}"
        data = {"url": url, "title": title, "sources": [{"start": 0, "end": len(text), "url": url}]}
        return Observation(text=text, data=data)

    def _element(self, ref):
        return next(each for top in read_elements(self.body) for each in top.walk() if each.ref == ref)


def explored(*paths):
    """The nodes of a path over these pages."""
    site = Site()
    nodes = [Node(id="s/0", seed_id="s", intent="jugs")]
    for path in paths:
        params = {"url": HOST.rstrip("/") + path}
        result = site.call("browser:navigate", params)
        nodes.append(
            Node(id=f"{nodes[-1].id}.0", parent=nodes[-1].id, seed_id="s", tool="browser:navigate", params=params, result=result)
        )  # fmt: skip
    return tuple(nodes)


def seen(*paths):
    return Seen(
        pages=[
            read_page(node.result.text, node.result.data["url"], node.result.data["title"], node.id)
            for node in explored(*paths)[1:]
        ]
    )


def solved(question, max_turns=20):
    """What the policy answers, and the site as it leaves it."""
    site, steps = Site(), []
    for turn in range(max_turns):
        inputs = SolveInputs(question=question, steps=tuple(steps), tools=TOOLS, turn=turn, max_turns=max_turns)
        move = BrowserPolicy().solve(inputs)
        if not move.actions:
            return move.answer, site
        steps += [
            SolveStep(tool=action.tool, params=action.params, result=site.call(action.tool, action.params))
            for action in move.actions
        ]
    raise AssertionError("the last turn had no answer")


# ---- reading


def test_roles_names_states_references_and_texts_of_a_snapshot_are_read():
    (form,) = read_elements(
        '- form "Buy \\"now\\"" [ref=g3f1e7]\n'
        '  - checkbox "Gift" [checked] [ref=g3f1e8]\n'
        '  - textbox "Note" [focused] [ref=g3f1e9]: "for you: two"\n'
        '  - link "More" [ref=g3f1e10] [url=/a?b=1]'
    )
    assert (form.role, form.name, form.ref) == ("form", 'Buy "now"', "g3f1e7")
    gift, note, more = form.children
    assert "checked" in gift.states
    assert (note.text, more.url) == ("for you: two", "/a?b=1")


def test_a_snapshot_of_playwright_is_read_as_well():
    (row,) = read_elements(
        '- row [ref=e38]:\n  - cell [ref=e39]:\n    - link "Alder" [ref=e40] [cursor=pointer]:\n      - /url: /alder'
    )
    link = row.first("link")
    assert (link.label, link.url, link.ref) == ("Alder", "/alder", "e40")


def test_a_page_tells_the_facts_of_its_subject_and_of_the_rows_of_its_tables():
    facts = {(fact.subject, fact.name): fact.value for fact in seen("/jugs", "/jug/heron").facts}
    assert facts["Heron Jug", "Potter"] == "Ashdown Kiln"
    assert facts["Heron Jug", "Weight"] == "1.4 kg"
    assert facts["Swift Jug", "Price"] == "$31.00"


def test_every_quote_of_a_fact_stands_in_the_page():
    for fact in seen("/jugs", "/jug/heron", "/potter/ashdown-kiln").facts:
        assert all(quote in fact.page.text for quote in fact.quotes), fact


@pytest.mark.parametrize(
    ("told", "is_whole"),
    [
        ('  - link "Next page" [ref=e9] [url=/t?page=2]', False),
        ('  - paragraph: "9 jugs, page 1 of 2"', False),
        ('  - paragraph: "9 jugs, page 1 of 1"', True),
        ("", True),
    ],
)
def test_a_table_is_whole_unless_the_page_says_that_there_is_more(told, is_whole):
    text = 'T\nhttp://h/t\n\n- main\n  - table "Jugs"\n    - row: "Jug | Size | Price"\n    - row: "A | 1 | 2"\n' + told
    (table,) = Seen(pages=[read_page(text, "http://h/t", "T", "0")]).tables
    assert table.is_whole is is_whole


def test_a_filtered_list_is_not_taken_for_the_whole():
    text = 'T\nhttp://h/t\n\n- table "Jugs"\n  - row: "Jug | Size | Price"\n  - row: "A | 1 | 2"'
    (table,) = Seen(pages=[read_page(text, "http://h/t?colour=red", "T", "0")]).tables
    assert not table.is_whole


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.one_of(st.text(max_size=30), st.sampled_from(MENU.splitlines() + POTTER.splitlines()))
        )
    )
)
def test_whatever_a_page_shows_is_read(rows):
    text = "\n".join("  " * depth + "- " + line.strip().removeprefix("- ") for depth, line in rows)
    page = read_page(text, "http://h/", "T", "0")
    found = Seen(pages=[page])
    assert answer(text or "?", found).confidence <= 1
    look_on(text, found, anywhere=True)
    assert [fact for fact in found.facts if not all(quote in text for quote in fact.quotes)] == []


@pytest.mark.parametrize("url", ["javascript:void(0)", "mailto:a@b.example", "http://[", "data:text/html,x"])
def test_links_that_lead_to_no_page_are_not_followed(url):
    text = f'- link "Jugs" [ref=g1e1] [url={url}]'
    assert read_page(text, "http://h/", "T", "0").links == []


def test_words_of_one_kind_have_one_stem():
    assert stem("makers") == stem("maker")
    assert stem("prices") == stem("price")
    assert stem("kettles") == stem("kettle")
    assert stem("glass") != stem("glaze")


# ---- exploring


def test_it_looks_at_the_open_page_first():
    root = Node(id="s/0", seed_id="s", intent="jugs")
    (action,) = BrowserPolicy().propose(ProposeInputs(seed=SEED, path=(root,), k=1, tools=TOOLS))
    assert (action.tool, dict(action.params)) == ("browser:snapshot", {})


def test_it_clicks_what_the_subject_names_then_rows_then_what_a_value_leads_to():
    path = explored("/")
    for label in ("Jugs", "Heron Jug|Wren Jug|Swift Jug", "Ashdown Kiln|Coombe Pottery"):
        actions = BrowserPolicy().propose(ProposeInputs(seed=SEED, path=path, k=3, tools=TOOLS))
        action = next(action for action in actions if action.tool == "browser:click")
        assert re.search(label, action.intent)
        site = Site()
        site.generation = len(path) - 1
        result = site.call("browser:navigate", {"url": _address(path[-1], action)})
        path = (*path, Node(id=path[-1].id + ".0", seed_id="s", tool=action.tool, params=action.params, result=result))


def _address(node, action):
    found = re.search(rf"\[ref={action.params['ref']}\] \[url=([^\]]*)\]", node.result.text)
    return urljoin(HOST, found[1])


def test_it_proposes_different_actions_and_none_that_is_taken():
    path = explored("/", "/jugs")
    policy = BrowserPolicy()
    first = policy.propose(ProposeInputs(seed=SEED, path=path, k=3, tools=TOOLS))
    again = policy.propose(ProposeInputs(seed=SEED, path=path, k=3, tools=TOOLS, taken=tuple(first)))
    assert len({str(action) for action in (*first, *again)}) == 6


def test_a_link_that_another_branch_has_clicked_under_the_same_reference_is_gone_to_by_its_address():
    path = explored("/", "/jugs")
    policy = BrowserPolicy()
    (click,) = policy.propose(ProposeInputs(seed=SEED, path=path, k=1, tools=TOOLS))
    again = policy.propose(ProposeInputs(seed=SEED, path=path, k=8, tools=TOOLS, taken=(click,)))
    assert _address(path[-1], click) in [action.params.get("url") for action in again]


def test_the_address_of_the_site_does_not_decide_what_is_proposed():
    path = explored("/", "/jugs")
    moved = []
    for node in path:
        result = node.result and evolve(
            node.result,
            text=node.result.text.replace(HOST, "http://h:81/"),
            data={"url": node.result.data["url"].replace(HOST, "http://h:81/"), "title": "T"},
        )
        moved.append(evolve(node, result=result))
    here, there = (
        [
            action.intent
            for action in BrowserPolicy().propose(ProposeInputs(seed=SEED, path=tuple(nodes), k=6, tools=TOOLS))
        ]
        for nodes in (path, moved)
    )
    assert here == there


def test_it_proposes_only_tools_that_are_offered():
    tools = tuple(tool for tool in TOOLS if tool.name == "browser:navigate")
    actions = BrowserPolicy().propose(ProposeInputs(seed=SEED, path=explored("/", "/jugs"), k=4, tools=tools))
    assert {action.tool for action in actions} == {"browser:navigate"}


def test_a_dialog_that_bars_the_page_is_answered():
    node = Node(id="s/0.0", seed_id="s", tool="browser:click", error="blocked_by_dialog", result=Observation(ok=False))
    (action,) = BrowserPolicy().propose(ProposeInputs(seed=SEED, path=(*explored("/"), node), k=1, tools=TOOLS))
    assert action.tool == "browser:dialog"


# ---- asking


def drafts(*paths, n=60):
    path = explored(*paths)
    return path, BrowserPolicy().draft(DraftInputs(seed=SEED, path=path, n=n))


async def test_its_drafts_pass_the_gates():
    path, found = drafts("/", "/jugs", "/jug/heron", "/potter/ashdown-kiln", "/jug/swift", "/potter/coombe-pottery")
    context = GateContext(seed=SEED, path=path)
    assert len(found) >= 10
    refused = []
    for draft in found:
        for gate in (Schema(), Leak(), SelfContained(), Grounded(), AnswerSupported(), Chain(), MultiHop()):
            outcome = await gate.check(draft, context)
            draft = outcome.draft or draft
            if not outcome.passed:
                refused.append((draft.question, outcome.reason))
                break
    assert len(refused) * 4 <= len(found), refused


def test_it_asks_along_links_through_tables_for_the_first_and_compares():
    _, found = drafts("/", "/jugs", "/jug/heron", "/potter/ashdown-kiln", "/jug/swift")
    said = {draft.question: draft.answer for draft in found}
    site = "On the site Clay & Co, "
    assert said[f"{site}what is the town of the potter of the Heron Jug?"] == "Merrow"
    assert said[f"{site}in which year was the potter of the Heron Jug founded?"] == "1931"
    assert said[f"{site}what is the glaze of the jug with the number JG-13?"] == "white"
    assert said["What is the glaze of the jug with the highest price among the jugs?"] == "white"
    assert any(answer == "0.8" and "difference in weight" in question for question, answer in said.items())


def test_a_page_that_was_seen_after_a_button_was_pressed_is_not_asked_about():
    path = explored("/jugs", "/jug/heron")
    press = Node(id="s/0.0.0.0", seed_id="s", tool="browser:click", params={"ref": "g3e15"}, result=path[-1].result)
    cart = Node(
        id="s/0.0.0.0.0", seed_id="s", tool="browser:navigate", result=explored("/potter/ashdown-kiln")[1].result
    )
    found = BrowserPolicy().draft(DraftInputs(seed=SEED, path=(*path, press, cart), n=60))
    assert not any(step.evidence[0].node == cart.id for draft in found for step in draft.reasoning_steps)


def test_one_page_gives_no_question():
    assert drafts("/jug/heron")[1] == []


def test_labels_decide_how_a_fact_is_asked_for():
    assert asks("Founded", "1931", "the potter") == "in which year was the potter founded?"
    assert asks("Opens", "09:00", "the shop") == "at what time does the shop open?"
    assert asks("Employees", "12", "the potter") == "how many employees does the potter have?"
    assert asks("Speed", "1200", "the car") == "what is the speed of the car?"
    assert asks("Order by", "12:00", "it") is None
    assert unit_of("1.4 kg") == ("kg", "kg")
    assert unit_of("$18.00") == ("$", "dollars")
    assert unit_of("09:00") is None


# ---- answering and doing


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the weight of the Heron Jug?", "1.4 kg"),
        ("In which town is the potter of the Swift Jug?", "Tolven"),
        ("Which jug is the most expensive?", "Swift Jug"),
        ("What is the glaze of the jug with the number JG-12?", "green"),
        ("Is the weight of the Swift Jug greater than that of the Wren Jug?", "yes"),
        ("What is the difference in weight between the Swift Jug and the Wren Jug, in kg?", "1.3"),
        ("How many jugs are there?", "3"),
        ("What do two Heron Jugs and one Wren Jug cost together?", "60.50"),
        ("Which is the heaviest jug?", "Swift Jug"),
    ],
)
def test_it_finds_answers_by_following_the_words_of_a_question(question, expected):
    assert solved(question)[0] == expected


def test_it_answers_nothing_where_the_pages_tell_nothing():
    assert solved("Who is the mayor of the capital?")[0] is None


def test_on_the_last_turn_it_answers():
    assert solved("In which town is the potter of the Swift Jug?", max_turns=1)[0] is None


def test_only_what_was_seen_is_known():
    assert answer("What is the weight of the Heron Jug?", seen("/", "/jugs")).confidence < 0.95


def test_a_task_is_cut_into_errands_at_its_verbs():
    task = 'Put two cups and a jug into the cart, then open the cart and send "this, and then that" to Ada.'
    assert clauses(task) == [
        "Put two cups and a jug into the cart",
        "open the cart",
        'send "this, and then that" to Ada',
    ]


def test_it_puts_a_number_of_things_into_the_cart():
    said, site = solved("Put two Heron Jugs into the cart and open the cart.")
    assert site.did == [("type", "Quantity", "2"), ("click", "Add to cart", None)]
    assert (said, site.path) == ("done", "/cart")


def test_it_puts_several_things_into_the_cart():
    _, site = solved("Put a Wren Jug and three Swift Jugs into the cart.")
    assert [what for what in site.did if what[0] == "click"] == [("click", "Add to cart", None)] * 2
    assert ("type", "Quantity", "3") in site.did


def test_it_chooses_the_option_that_is_named_and_presses_the_button_beside_it():
    _, site = solved("Show only the green jugs.")
    assert site.did == [("select", "Colour", ["Green"]), ("click", "Show", None)]


def test_it_fills_in_a_form_by_its_labels_and_sends_it():
    _, site = solved('Send a letter with the topic "Repairs", the name "Ada" and the message "It leaks.", by post.')
    assert site.did == [
        ("fill_form", "Topic", "Repairs"),
        ("fill_form", "Name", "Ada"),
        ("fill_form", "Message", "It leaks."),
        ("fill_form", "By post", True),
        ("click", "Send", None),
    ]


def test_it_opens_what_a_task_describes():
    assert solved("Open the page of the potter of the Swift Jug.")[1].path == "/potter/coombe-pottery"


def test_the_same_request_has_the_same_answer():
    path = explored("/", "/jugs", "/jug/heron", "/potter/ashdown-kiln")
    inputs = DraftInputs(seed=SEED, path=path, n=5)
    assert BrowserPolicy().draft(inputs) == BrowserPolicy().draft(inputs)
