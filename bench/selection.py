"""Time scoring and selection over many long paths, and the no-model gates over many drafts.

    python bench/selection.py [--paths 10000] [--steps 20] [--drafts 2000]

Prints one line a measurement: what was done, how long it took, and the ratio to the target (below 1 is within it).
"""

from __future__ import annotations

import argparse
import time
from itertools import accumulate
from random import Random

import anyio

from agentflow_core.gates.evidence import AnswerSupported, Grounded
from agentflow_core.gates.form import Leak, Schema, SelfContained
from agentflow_core.gates.hops import Chain as HopChain
from agentflow_core.gates.hops import MultiHop
from agentflow_core.gates.run import judge_draft, passed
from agentflow_core.interfaces import Candidate, GateContext, ScoringContext, SelectionContext
from agentflow_core.records import QA, Evidence, Node, Observation, ReasoningStep, Seed
from agentflow_core.scorers.content import Chain, EntityDensity, Information
from agentflow_core.scorers.shape import Depth, ErrorShare, Staleness, ToolDiversity
from agentflow_core.selectors.coverage import Coverage
from agentflow_core.selectors.paths import document_frequencies, enumerate_paths, score_paths

TOOLS = ("rag:search", "rag:get", "rag:find", "rag:corpora")
SELECTION_TARGET_S = 10.0
DRAFTS_TARGET_PER_S = 500.0


def vocabulary(rng: Random, size: int = 20_000) -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(3, 10))) for _ in range(size)]
    return [word.capitalize() if rng.randrange(6) == 0 else word for word in words]


def sentences(rng: Random, words: list[str], weights: list[float], count: int) -> str:
    return " ".join(rng.choices(words, cum_weights=weights, k=count))


def tree(
    seed: str, rng: Random, words: list[str], weights: list[float], *, leaves: int, steps: int, observation_words: int
) -> list[Node]:
    """Binary until there are ``leaves``, then chains to ``steps``: the shape that uniform growth gives."""
    nodes = [Node(id=f"{seed}/0", seed_id=seed, intent=sentences(rng, words, weights, 3))]
    frontier = [nodes[0]]
    for depth in range(1, steps + 1):
        grown = []
        for parent in frontier:
            for child in range(2 if len(frontier) < leaves else 1):
                node = Node(
                    id=f"{parent.id}.{child}",
                    seed_id=seed,
                    parent=parent.id,
                    depth=depth,
                    tool=rng.choice(TOOLS),
                    params={"query": sentences(rng, words, weights, 4), "k": 5},
                    result=Observation(text=sentences(rng, words, weights, observation_words)),
                )
                grown.append(node)
        nodes += grown
        frontier = grown
    return nodes


def select(paths: int, steps: int, observation_words: int) -> None:
    rng = Random(7)
    words = vocabulary(rng)
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))  # Zipf's law, as words of a language
    leaves = 128
    trees = [
        tree(f"seed-{index:03}", rng, words, weights, leaves=leaves, steps=steps, observation_words=observation_words)
        for index in range(-(-paths // leaves))
    ]
    nodes = sum(map(len, trees))
    scorers = {
        "depth": (Depth(), 1.0),
        "information": (Information(), 1.0),
        "tool_diversity": (ToolDiversity(), 1.0),
        "entity_density": (EntityDensity(), 1.0),
        "chain": (Chain(), 1.0),
        "error_share": (ErrorShare(), 1.0),
        "staleness": (Staleness(), 1.0),
    }
    selector = Coverage()
    started = time.perf_counter()
    idf = document_frequencies(node for grown in trees for node in grown)
    counted = time.perf_counter()
    context = ScoringContext(tools=TOOLS, max_depth=steps, idf=idf)
    scoring = choosing = 0.0
    total = chosen = 0
    for grown in trees:
        begin = time.perf_counter()
        by_id = {node.id: node for node in grown}
        scored = score_paths(enumerate_paths(grown, 2), by_id, scorers, context)
        candidates = [Candidate(path=path, nodes=tuple(by_id[node] for node in path.nodes)) for path in scored]
        middle = time.perf_counter()
        choices = selector.select(
            candidates, SelectionContext(max_selected=3, similarity_threshold=0.7, tools=TOOLS, rng=Random(0))
        )
        scoring += middle - begin
        choosing += time.perf_counter() - middle
        total += len(scored)
        chosen += sum(choice.selected for choice in choices)
    took = time.perf_counter() - started
    print(
        f"selection: {total} paths of {steps} steps ({nodes} nodes of {observation_words} words), {chosen} chosen: "
        f"{took:.2f} s = idf {counted - started:.2f} + scores {scoring:.2f} + coverage {choosing:.2f}; "
        f"{took / SELECTION_TARGET_S:.2f} of the target of {SELECTION_TARGET_S:.0f} s"
    )


def drafts(count: int) -> list[tuple[QA, GateContext]]:
    rng = Random(11)
    words = [word.lower() for word in vocabulary(rng)]
    made = []
    for index in range(count):
        film, director, town = (
            f"{a.capitalize()} {b.capitalize()}" for a, b in zip(*[iter(rng.choices(words, k=6))] * 2, strict=True)
        )
        filler = " ".join(rng.choices(words, k=150))
        first = f"{film} is a film of 1974 that was directed by {director}."
        second = f"{director} was born in the town of {town} and grew up there."
        seed = f"seed-{index:05}"
        nodes = (
            Node(id=f"{seed}/0", seed_id=seed, intent=film),
            Node(id=f"{seed}/0.0", seed_id=seed, parent=f"{seed}/0", depth=1, tool="rag:search", params={"query": film},
                 result=Observation(text=f"[1] {film} (doc_id: a)\n{first} {filler}\n\n[2] Other (doc_id: c)\n{filler}")),
            Node(id=f"{seed}/0.0.0", seed_id=seed, parent=f"{seed}/0.0", depth=2, tool="rag:search", params={"query": director},
                 result=Observation(text=f"[1] {director} (doc_id: b)\n{second} {filler}")),
        )  # fmt: skip
        draft = QA(
            id=f"{seed}/qa", seed_id=seed, path_id=nodes[-1].id, question=f"In which town was the director of {film} born?",
            answer=town, answer_type="place",
            reasoning_steps=(
                ReasoningStep(step="who directed it", evidence=(Evidence(node=nodes[1].id, quote=first),)),
                ReasoningStep(step="where they were born", evidence=(Evidence(node=nodes[2].id, quote=second),)),
            ),
        )  # fmt: skip
        made.append((draft, GateContext(seed=Seed(id=seed, content=film), path=nodes)))
    return made


async def judge(count: int) -> None:
    gates = [
        ("schema", Schema()), ("leak", Leak()), ("self_contained", SelfContained()), ("grounded", Grounded()),
        ("answer_supported", AnswerSupported()), ("chain", HopChain()), ("multi_hop", MultiHop()),
    ]  # fmt: skip
    cases = drafts(count)
    started = time.perf_counter()
    judged = [await judge_draft(draft, gates, context) for draft, context in cases]
    took = time.perf_counter() - started
    good = sum(map(passed, judged))
    print(
        f"gates: {count} drafts ({good} accepted) in {took:.2f} s: {count / took:.0f} drafts/s; "
        f"{DRAFTS_TARGET_PER_S / (count / took):.2f} of the target of {DRAFTS_TARGET_PER_S:.0f} drafts/s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--words", type=int, default=40, help="words of an observation")
    parser.add_argument("--drafts", type=int, default=2_000)
    options = parser.parse_args()
    select(options.paths, options.steps, options.words)
    anyio.run(judge, options.drafts)


if __name__ == "__main__":
    main()
