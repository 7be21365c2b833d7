"""How the offline model plays a desktop, on what its tools answer."""

from __future__ import annotations

import pytest

from agentflow_core.interfaces import Move
from agentflow_core.records import DraftInputs, Node, Observation, ProposeInputs, Seed, SolveInputs, ToolDefinition
from agentflow_core.records.completions import SolveStep
from agentflow_vm.offline import VmPolicy
from agentflow_vm.offline.keys import added, created, deleted, listed, opened_by, read, renamed, replaced

TEXTS = {
    "oak-chest.txt": "Oak Chest\nMaker: Hollow Yard\nWeight: 7.4 kg\n",
    "hollow-yard.txt": "Hollow Yard\nTown: Ellerby Ferry\nTelephone: 0555 6933\n",
    "ellerby-ferry.txt": "Ellerby Ferry\nRiver: Wend\nMarket day: Tuesday\n",
}
TOOLS = tuple(
    ToolDefinition(name=f"vm:{name}", description="", parameters={}) for name in ("actions", "launch", "type")
)


def observed(steps):
    """What the tool answers: a line for each step, the text for the clipboard's."""
    file = opened_by(steps)
    copied = "\n".join(TEXTS) if file == "" else TEXTS.get(file or "", "")
    lines = [copied if step["tool"] == "clipboard" else f"did {step['tool']}" for step in steps]
    return Observation(text="\n".join(lines))


def nodes(*calls):
    path = [Node(id="s/0", seed_id="s", intent="Oak Chest")]
    for number, steps in enumerate(calls, 1):
        path.append(
            Node(
                id=f"s/0.{number}",
                seed_id="s",
                tool="vm:actions",
                params={"steps": steps},
                result=observed(steps),
                depth=number,
            )
        )
    return tuple(path)


def solved(task, answer_of=observed, turns=8):
    """The moves for a task, to its answer."""
    steps = []
    moves = []
    for turn in range(turns):
        move = VmPolicy().solve(SolveInputs(question=task, steps=tuple(steps), tools=TOOLS, turn=turn, max_turns=turns))
        moves.append(move)
        if not move.actions:
            return moves
        for action in move.actions:
            result = answer_of(action.params["steps"]) if "steps" in action.params else Observation(text="done")
            steps.append(SolveStep(tool=action.tool, params=action.params, result=result))
    return moves


def test_it_lists_the_files_then_reads_what_the_subject_names_then_what_that_names():
    def next_of(*calls):
        inputs = ProposeInputs(seed=Seed(id="s", content="Oak Chest"), path=nodes(*calls), k=1, tools=TOOLS)
        (action,) = VmPolicy().propose(inputs)
        return action.params["steps"]

    assert next_of() == listed()
    assert next_of(listed()) == read("oak-chest.txt")
    assert next_of(listed(), read("oak-chest.txt")) == read("hollow-yard.txt")


def test_it_proposes_nothing_where_the_tool_is_not_offered():
    inputs = ProposeInputs(seed=Seed(id="s", content="x"), path=nodes(), k=2, tools=())
    assert VmPolicy().propose(inputs) == []


def test_it_asks_for_what_two_texts_tell_together_and_quotes_them():
    path = nodes(listed(), read("oak-chest.txt"), read("hollow-yard.txt"), read("ellerby-ferry.txt"))
    drafts = VmPolicy().draft(DraftInputs(seed=Seed(id="s", content="Oak Chest"), path=path, n=20))
    asked = {draft.question: draft for draft in drafts}
    assert asked["What is the telephone of the maker of the Oak Chest?"].answer == "0555 6933"
    assert asked["What is the river of the town of the maker of the Oak Chest?"].answer == "Wend"
    texts = {node.id: node.result.text for node in path if node.result}
    for draft in drafts:
        assert len(draft.reasoning_steps) >= 2
        assert all(each.quote in texts[each.node] for step in draft.reasoning_steps for each in step.evidence)


def test_it_answers_by_reading_one_text_after_the_other():
    moves = solved("What is the market day of the town of the maker of the Oak Chest?")
    assert [opened_by(move.actions[0].params["steps"]) for move in moves[:-1]] == [
        *("", "oak-chest.txt", "hollow-yard.txt", "ellerby-ferry.txt")
    ]
    assert moves[-1].answer == "Tuesday"


def test_it_reads_again_where_the_program_was_not_ready():
    came = iter([Observation(text="did key\ndid wait\nThe clipboard holds no text.")])
    moves = solved("What is the weight of the Oak Chest?", lambda steps: next(came, None) or observed(steps))
    assert moves[-1].answer == "7.4 kg"


def test_it_gives_up_on_a_text_that_never_comes():
    moves = solved("What is the weight of the Oak Chest?", lambda steps: observed(listed()))
    assert moves[-1].answer is None


@pytest.mark.parametrize(
    ("task", "steps"),
    [
        ('Create a file "a.txt" that says "milk, eggs".', created("a.txt", "milk, eggs")),
        ('Add the line "Sweep." to the file "notes.txt".', added("notes.txt", "Sweep.")),
        ('Replace the text of "notes.txt" by "Nothing."', replaced("notes.txt", "Nothing.")),
        ('Rename the file "a.txt" to "b.txt".', renamed("a.txt", "b.txt")),
        ('Delete the file "a.txt" and no other.', deleted("a.txt")),
    ],
)
def test_it_does_an_errand_by_keys_once(task, steps):
    moves = solved(task)
    assert moves[0].actions[0].params["steps"] == steps
    assert len(moves) == 2
    assert moves[1].answer == "done"


def test_it_types_a_command_into_a_terminal():
    moves = solved('Run "sort a > b" in a terminal.')
    assert [(move.actions[0].tool, dict(move.actions[0].params)) for move in moves[:2]] == [
        ("vm:launch", {"program": "terminal"}),
        ("vm:type", {"text": "sort a > b\n"}),
    ]


def test_it_writes_what_it_looked_up_into_a_file():
    moves = solved('Write the telephone of the maker of the Oak Chest into the file "call.txt".')
    assert moves[-2].actions[0].params["steps"] == created("call.txt", "0555 6933")


def test_what_it_does_not_understand_it_leaves():
    assert solved("Make the desktop look nicer.") == [Move()]
