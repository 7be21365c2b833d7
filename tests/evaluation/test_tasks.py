"""Benchmarks: which column is what, references of every kind, and errors that name the row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentflow_core.errors import DataError
from agentflow_core.evaluation.config import DataConfig
from agentflow_core.evaluation.tasks import check_backends, read_tasks, references_of
from agentflow_core.records import QA, Task
from agentflow_core.records.codec import dump

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def read(tmp_path: Path):
    """The tasks of rows, or of the text of a file."""

    def tasks(rows: list[Any] | str, name: str = "tasks.jsonl", **config: Any) -> list[Task]:
        path = tmp_path / name
        path.write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows))
        return read_tasks(DataConfig(path=path, **config))

    return tasks


def questions(*ids: str) -> list[dict[str, str]]:
    return [{"id": name, "question": f"{name}?"} for name in ids]


@pytest.mark.parametrize("column", ["question", "query", "input"])
def test_the_question_is_recognised(read, column: str):
    assert read([{column: " Where? "}])[0].question == "Where?"


@pytest.mark.parametrize("column", ["answer", "answers", "ground_truth", "expected"])
def test_the_answer_is_recognised(read, column: str):
    assert read([{"question": "?", column: "Bern"}])[0].references == ("Bern",)


@pytest.mark.parametrize("column", ["id", "task_id"])
def test_the_id_is_recognised(read, column: str):
    assert read([{"question": "?", column: 7}])[0].id == "7"


def test_a_task_without_an_id_is_named_by_its_row(read):
    assert [task.id for task in read([{"question": "a"}, {"question": "b", "id": ""}])] == ["task-0001", "task-0002"]


def test_a_bare_text_is_a_question(read):
    assert read(["Where?"]) == [Task(id="task-0001", question="Where?")]


def test_the_first_column_that_has_a_value_counts(read):
    (task,) = read([{"question": None, "query": "Where?", "answer": None, "expected": "Bern", "input": "x"}])
    assert (task.question, task.references) == ("Where?", ("Bern",))


def test_what_is_no_part_of_a_task_is_metadata(read):
    (task,) = read([{"id": "a", "question": "?", "answer": "x", "aliases": [], "kwargs": {"k": 1}, "level": "hard"}])
    assert task.metadata == {"level": "hard"}
    assert task.kwargs == {"k": 1}


@pytest.mark.parametrize(
    ("value", "references"),
    [
        (None, ()),
        ("Bern", ("Bern",)),
        (3, ("3",)),
        (2.5, ("2.5",)),
        (5.0, ("5",)),
        ([5, 5.0, "5"], ("5",)),
        (True, ("yes",)),
        (False, ("no",)),
        (["a", 1, True, None, "a"], ("a", "1", "yes")),
        ([["a"], "b"], ("a", "b")),
        ({"text": ["a", "b"], "answer_start": [1, 2]}, ("a", "b")),
        ({"other": 1}, ('{"other": 1}',)),
        ([], ()),
    ],
    ids=repr,
)
def test_references_are_texts_numbers_truths_or_lists_of_them(value: object, references: tuple[str, ...]):
    assert references_of(value) == references


def test_aliases_are_further_references(read):
    (task,) = read([{"question": "?", "answer": "Bern", "aliases": ["Berne", "Bern"]}])
    assert task.references == ("Bern", "Berne")


def test_columns_may_be_named(read):
    fields = {"id": "nr", "question": "text", "answer": "gold", "kwargs": "extra"}
    (task,) = read(
        [{"nr": 1, "text": "Where?", "gold": "Bern", "extra": {"k": 1}, "question": "not this"}], fields=fields
    )
    assert task == Task(
        id="1", question="Where?", references=("Bern",), kwargs={"k": 1}, metadata={"question": "not this"}
    )


def test_a_named_column_may_be_empty_in_some_rows(read):
    tasks = read("q,gold\nWhere?,Bern\nWhen?,\n", name="x.csv", fields={"question": "q", "answer": "gold"})
    assert [task.references for task in tasks] == [("Bern",), ()]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"question": "txet"}, "tasks.jsonl:1: no question in column 'txet', did you mean 'text'?"),
        ({"question": "text", "answer": "glod"}, "no row has the column 'glod', which data.fields names for 'answer'"),
        ({"questoin": "text"}, "data.fields: unknown part 'questoin', did you mean 'question'?"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_column_that_is_not_there_is_named(read, fields: dict[str, str], message: str):
    with pytest.raises(DataError) as caught:
        read([{"text": "Where?", "gold": "Bern"}], fields=fields)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "Where?"}, ":2: no question\n  name its column in data.fields; the row has: prompt"),
        ({"question": "  "}, ":2: no question"),
        ({"question": 3}, ":2: no question"),
        ({"question": "?", "id": "a"}, ":2: id 'a' stands already at"),
        ({"question": "?", "kwargs": [1]}, ":2: 'kwargs' is not an object"),
        ({"question": "?", "kwargs": "{"}, ":2: 'kwargs' is not a JSON object"),
    ],
    ids=str,
)
def test_a_row_that_is_no_task_is_named(read, row: dict[str, Any], message: str):
    with pytest.raises(DataError) as caught:
        read([{"id": "a", "question": "?"}, row])
    assert message in str(caught.value)


def test_objects_in_a_csv_are_written_as_json(read):
    (task,) = read('question,kwargs\n?,"{""k"": [1]}"\n', name="x.csv")
    assert task.kwargs == {"k": [1]}


def test_ids_choose_tasks_in_file_order(read):
    assert [task.id for task in read(questions("a", "b", "c"), ids=("c", "a"))] == ["a", "c"]


def test_a_wanted_id_that_is_not_there_comes_with_a_suggestion(read):
    with pytest.raises(DataError, match=r"no task 'task-77', did you mean 'task-7'\?"):
        read(questions("task-7", "other"), ids=("other", "task-77"))


def test_the_limit_is_applied_after_the_shuffle_and_the_ids(read):
    rows = questions(*"abcdefgh")
    shuffled = [task.id for task in read(rows, shuffle_seed=3)]
    assert sorted(shuffled) == list("abcdefgh")
    assert shuffled != list("abcdefgh")
    assert [task.id for task in read(rows, shuffle_seed=3, limit=3)] == shuffled[:3]
    assert [task.id for task in read(rows, limit=3)] == list("abc")
    assert [task.id for task in read(rows, limit=1, ids=("c", "d"))] == ["c"]


def test_the_same_seed_shuffles_the_same_way(read):
    rows = questions(*"abcdefgh")
    assert read(rows, shuffle_seed=3) == read(rows, shuffle_seed=3)
    assert read(rows, shuffle_seed=3) != read(rows, shuffle_seed=4)


def test_a_file_without_tasks_is_an_error(read):
    with pytest.raises(DataError, match="holds no task"):
        read([], fields={"answer": "gold"})


# ---- sessions and end states


def test_sessions_and_end_states_are_read(read):
    row = {"question": "?", "session": {"web": {"start_url": "a"}}, "end_state": '{"web": {"url": {"contains": "b"}}}'}
    (task,) = read([row])
    assert task.session == {"web": {"start_url": "a"}}
    assert task.end_state == {"web": {"url": {"contains": "b"}}}
    assert task.metadata == {}


def test_an_accepted_pair_is_a_task_that_begins_as_its_seed_did(read):
    pair = QA(
        id="q", seed_id="s", path_id="s/0", question="?", answer="a", session={"web": {"start_url": "b"}, "vm": None}
    )
    (task,) = read([dump(pair)])
    assert task.session == {"web": {"start_url": "b"}, "vm": {}}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"session": {"web": "a"}}, "session.web: expected an object of settings, found str"),
        ({"end_state": {"web": ["url"]}}, "end_state.web: expected an object of probes, found list"),
        ({"end_state": {"web": {"url": {"matches": "("}}}}, "end_state.web.url: the expectation"),
    ],
)
def test_what_is_no_session_or_end_state_is_refused_with_its_place(read, row, words):
    with pytest.raises(DataError, match=r"tasks\.jsonl:2") as caught:
        read([{"question": "a"}, {"question": "b", **row}])
    assert words in str(caught.value)


def test_a_backend_that_is_not_there_or_has_none_is_refused_before_anything_runs():
    traits = {"web": {"sharing": "session", "probes": True}, "rag": {"sharing": "shared", "probes": False}}
    check_backends([Task(id="a", question="?", session={"web": {}}, end_state={"web": {"url": "b"}})], traits)
    with pytest.raises(DataError, match="'session' names 'rag', which is no backend with sessions"):
        check_backends([Task(id="a", question="?", session={"rag": {}})], traits)
    with pytest.raises(DataError, match=r"task 'a': 'end_state' names 'wbe', .*, did you mean 'web'"):
        check_backends([Task(id="a", question="?", end_state={"wbe": {}})], traits)
