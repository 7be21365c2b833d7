"""Quotes of observations are located again: by the URL, and the offset in the page's text."""

from __future__ import annotations

from agentflow_core.gates.evidence import Grounded
from agentflow_core.interfaces import GateContext
from agentflow_core.records import QA, Evidence, Node, ReasoningStep, Seed
from agentflow_core.sandbox import observation_of
from agentflow_websearch.small_web import Reply

PAGES = {
    "https://a.example/": "Filler text. " * 400 + "Ostrel Bridge was built by Mara Quill in 1931. " + "More. " * 900,
    "https://b.example/": "Mara Quill – an engineer – was born in Vess. " + "And so on. " * 50,
}


def answer(heard):
    if heard.path == "/search":
        row = {"title": "Ostrel Bridge", "link": "https://a.example/", "snippet": "A bridge by Mara Quill."}
        return Reply.of_json({"organic": [row]})
    url = heard.json["url"]
    return Reply.of_json({"data": {"title": f"Title of {url}", "url": url, "content": PAGES[url]}})


async def test_a_quote_of_a_visit_leads_back_to_its_page(played, serper, jina):
    async with played({"/search": answer, "/": answer}, **serper, **jina) as it:
        calls = (
            ("web:search", {"query": "Ostrel Bridge"}),
            ("web:visit", {"url": "https://a.example/", "cursor": 4000, "max_tokens": 1000}),
            ("web:visit", {"urls": list(PAGES), "max_tokens": 8000}),
        )
        nodes = [Node(id="s/0", seed_id="s")]
        for number, (tool, params) in enumerate(calls):
            observation = observation_of(await it.sandbox.execute(tool, params), None)
            nodes.append(Node(id=f"s/0.{number}", seed_id="s", tool=tool, params=params, result=observation))
    quotes = (
        (1, "A bridge by Mara Quill."),
        (2, "Ostrel Bridge was built by Mara Quill in 1931."),
        (3, "Mara Quill - an engineer - was born in Vess."),
    )
    steps = tuple(
        ReasoningStep(step=quote, evidence=(Evidence(node=nodes[index].id, quote=quote),)) for index, quote in quotes
    )
    draft = QA(id="q", seed_id="s", path_id="p", question="Where?", answer="Vess", reasoning_steps=steps)
    outcome = await Grounded().check(draft, GateContext(seed=Seed(id="s", content="x"), path=tuple(nodes)))
    assert outcome.passed, outcome.reason
    search, first, second = (step.evidence[0] for step in outcome.draft.reasoning_steps)
    assert search.source == {"url": "https://a.example/"}
    for evidence, url in ((first, "https://a.example/"), (second, "https://b.example/")):
        assert evidence.source["url"] == url
        start = evidence.source["offset"] + evidence.start - evidence.source["at"]
        assert PAGES[url][start:].startswith(evidence.quote)
