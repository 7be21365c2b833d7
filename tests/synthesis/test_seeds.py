"""Seeds: from files and from the configuration, with errors that name the row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentflow_core.config import load_config
from agentflow_core.errors import DataError
from agentflow_core.records import Seed
from agentflow_core.synthesis.config import SeedsConfig, SynthesisConfig
from agentflow_core.synthesis.seeds import check_sessions, find_seeds, read_seeds, seeds_of

if TYPE_CHECKING:
    from pathlib import Path


def test_seeds_are_texts_objects_or_records():
    given = Seed(id="own", content="c")
    seeds = seeds_of(["  one ", {"content": "two", "id": 7, "kwargs": {"k": 1}, "session": {"bash": None}}, given])
    assert seeds == [
        Seed(id="seed-0001", content="one"),
        Seed(id="7", content="two", kwargs={"k": 1}, session={"bash": None}),
        given,
    ]


def test_further_fields_of_a_seed_are_kept():
    (seed,) = seeds_of([{"content": "x", "topic": "rivers"}])
    assert seed.unknown == {"topic": "rivers"}


def test_seeds_of_a_file_are_named_by_their_lines(tmp_path: Path):
    path = tmp_path / "seeds.jsonl"
    path.write_text('"one"\n\n{"content": "two"}\n')
    assert [seed.id for seed in read_seeds(SeedsConfig(path=path))] == ["seed-0001", "seed-0003"]


def test_objects_in_a_csv_are_written_as_json(tmp_path: Path):
    path = tmp_path / "seeds.csv"
    path.write_text('id,content,session\na,Bern,"{""bash"": {""image"": ""x""}}"\nb,Basel,\n')
    assert [seed.session for seed in read_seeds(SeedsConfig(path=path))] == [{"bash": {"image": "x"}}, None]


def test_the_limit_takes_the_first_ones():
    assert [seed.content for seed in read_seeds(SeedsConfig(items=("a", "b", "c"), limit=2))] == ["a", "b"]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([1], "seeds.items.0: expected a text or an object, found int"),
        (["a", {"text": "b"}], "seeds.items.1: a seed needs a 'content'"),
        ([{}], "seeds.items.0: a seed needs a 'content'\n  the row has: nothing"),
        (["  "], "seeds.items.0: the 'content' of the seed is empty"),
        ([{"content": 3}], "seeds.items.0: a seed needs a 'content'"),
        ([{"content": "a", "kwargs": [1]}], "seeds.items.0: 'kwargs' is not an object"),
        ([{"content": "a", "session": "{"}], "seeds.items.0: 'session' is not a JSON object"),
        ([{"content": "a", "id": "x"}, {"content": "b", "id": "x"}], "id 'x' stands already at seeds.items.0"),
        ([{"content": "a", "id": "x/y"}], "the id 'x/y' holds '/' or '#'"),
        ([Seed(id="x#y", content="a")], "the id 'x#y' holds '/' or '#'"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_seed_that_is_none_is_named(items: list[object], message: str):
    with pytest.raises(DataError) as caught:
        seeds_of(items)
    assert message in str(caught.value)


def test_a_bad_row_of_a_file_is_named_by_its_line(tmp_path: Path):
    path = tmp_path / "seeds.jsonl"
    path.write_text('"one"\n{"id": "x"}\n')
    with pytest.raises(DataError, match=r"seeds\.jsonl:2: a seed needs a 'content'"):
        read_seeds(SeedsConfig(path=path))


def test_one_source_is_needed_and_one_only(tmp_path: Path):
    for config in (SeedsConfig(), SeedsConfig(path=tmp_path / "x.jsonl", items=("a",))):
        with pytest.raises(DataError, match="give either 'path' or 'items'"):
            read_seeds(config)


def test_a_file_without_seeds_is_an_error(tmp_path: Path):
    path = tmp_path / "seeds.jsonl"
    path.write_text("\n")
    with pytest.raises(DataError, match="holds no seed"):
        read_seeds(SeedsConfig(path=path))


def test_standard_input_stays_standard_input_in_a_configuration():
    assert str(load_config(SynthesisConfig, {"seeds": {"path": "-"}}).config.seeds.path) == "-"


SHARING = {"bash": "session", "browser": "hybrid", "rag": "shared"}


def test_a_misspelt_backend_of_a_session_is_refused_with_its_line_and_a_suggestion(tmp_path: Path):
    path = tmp_path / "seeds.jsonl"
    path.write_text(
        '{"content": "x", "session": {"bash": {}}}\n{"content": "y", "session": {"bsh": {"setup": "ls"}}}\n'
    )
    with pytest.raises(DataError) as caught:
        check_sessions(find_seeds(SeedsConfig(path=path)), SHARING)
    assert str(caught.value) == (
        f"{path}:2: 'session' names the backend 'bsh', which is not there, did you mean 'bash'?\n"
        "  backends with sessions: bash, browser"
    )


def test_settings_for_a_backend_that_keeps_no_sessions_are_refused():
    found = find_seeds(SeedsConfig(items=({"content": "x", "session": {"rag": {"top_k": 3}}},)))
    with pytest.raises(DataError, match=r"seeds\.items\.0: 'session' has settings for 'rag', which keeps no sessions"):
        check_sessions(found, SHARING)


def test_backends_that_are_there_may_be_named_with_or_without_settings():
    session = {"bash": {"setup": "ls"}, "browser": None, "rag": None}
    check_sessions(find_seeds(SeedsConfig(items=({"content": "x", "session": session},))), SHARING)
