"""Passages and their ranking."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_doc.passages import join_blocks, passages_of
from agentflow_doc.ranking import rank
from agentflow_doc.reading.tables import table_block
from agentflow_doc.records import Block, Head, Page, Section
from agentflow_doc.store import Store, write_store
from agentflow_doc.words import terms

WORDS = st.lists(st.sampled_from("seal heron ferry rope tower lamp reef gull".split()), min_size=1, max_size=400)  # noqa: SIM905
TEXTS = WORDS.map(lambda words: " ".join(f"{word}." if at % 9 == 8 else word for at, word in enumerate(words)))
CELLS = st.text(st.sampled_from("ab |1"), max_size=6)
TABLES = st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=60).map(
    lambda rows: table_block(rows, (0.0, 0.0, 9.0, 9.0), [(0.0, float(at), 9.0, at + 1.0) for at in range(len(rows))])
)
BLOCKS = st.one_of(
    TEXTS.map(lambda text: Block(kind="text", text=text, box=(1.0, 1.0, 2.0, 2.0))),
    TEXTS.map(lambda text: Block(kind="heading", text=text[:60].strip(), level=2, box=(1.0, 1.0, 2.0, 2.0))),
    TABLES,
)


@given(st.lists(BLOCKS, max_size=8), st.booleans())
def test_every_part_of_joined_blocks_is_a_block_or_a_row(blocks, plain):
    text, parts = join_blocks(blocks, plain=plain)
    found = [text[part.start : part.end] for part in parts]
    for block in blocks:
        if block.kind == "table" and plain:
            assert all(" | ".join(row) in found for row in (block.columns, *block.rows))
        else:
            assert (block.text if plain else block.markdown) in found


@given(st.lists(BLOCKS, max_size=8))
def test_passages_hold_every_word_of_a_page_and_locate_all_of_it(blocks):
    passages = list(passages_of(Page(number=3, blocks=tuple(blocks)), []))
    for passage in passages:
        assert passage.page == 3
        assert len(passage.text) <= 2600
        covered = {at for part in passage.parts for at in range(part.start, part.end)}
        assert all(at in covered for at, letter in enumerate(passage.text) if not letter.isspace())
    told = Counter(word for passage in passages for word in passage.text.split())
    wanted = Counter(word for block in blocks for word in block.text.split())
    assert all(told[word] >= count for word, count in wanted.items())


def test_a_passage_knows_the_section_that_it_stands_in():
    blocks = (
        Block(kind="text", text="Still about birds."),
        Block(kind="heading", text="Seals", level=1),
        Block(kind="text", text="They sleep."),
    )
    sections = [Section(title="Birds", level=1, page=1, end=2), Section(title="Seals", level=1, page=2, end=2)]
    found = list(passages_of(Page(number=2, blocks=blocks), sections))
    assert [(passage.section, passage.text) for passage in found] == [
        ("Birds", "Still about birds."),
        ("Seals", "# Seals\n\nThey sleep."),
    ]


def test_a_long_table_is_cut_between_rows_and_keeps_its_head():
    rows = [["name", "note"], *([f"row {at}", "x" * 40] for at in range(100))]
    passages = list(passages_of(Page(number=1, blocks=(table_block(rows),)), []))
    assert len(passages) > 3
    assert all(passage.text.startswith("| name | note |\n| --- | --- |\n| row ") for passage in passages)


def test_words_are_compared_without_case_accents_and_plurals():
    assert terms("The Cranes of Málaga's harbours") == terms("crane malaga s harbour")
    assert terms("batteries") == terms("battery")
    assert terms("glass gas bus") == ["glass", "gas", "bus"]
    assert terms("who is it") == ["who", "is", "it"]


@pytest.fixture
def stores(tmp_path):
    """Two stores, and the words of each of their passages."""
    made, words = {}, {}
    texts = {
        "a": ["seals sleep on the reef", "the lamp of the tower, the tower of the lamp"],
        "b": ["a heron and a seal", "ferry ferry ferry", "nothing of it"],
    }
    for name, told in texts.items():
        pages = [Page(number=at, blocks=(Block(kind="text", text=text),)) for at, text in enumerate(told, 1)]
        write_store(tmp_path / name, Head(title=name, format="pdf", pages=len(pages)), pages)
        made[name] = Store(tmp_path / name)
        words |= {(name, at): terms(text) for at, text in enumerate(told)}
    return made, words


@pytest.mark.parametrize(
    "query", ["seal", "the tower lamp", "ferry seal reef", "heron heron", "nothing of the kind", "absent"]
)
def test_ranking_is_bm25_over_all_documents(stores, query):
    made, words = stores
    average = sum(map(len, words.values())) / len(words)
    scores = {}
    for place, held in words.items():
        for word in dict.fromkeys(terms(query)):
            holders = sum(word in other for other in words.values())
            count = held.count(word)
            if count:
                weight = math.log(1 + (len(words) - holders + 0.5) / (holders + 0.5))
                share = count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(held) / average))
                scores[place] = scores.get(place, 0.0) + weight * share
    found = rank(made, query, 10)
    assert found.total == len(scores)
    assert {(one.doc, one.passage): one.score for one in found.best} == pytest.approx(scores, abs=1e-5)
    assert [one.score for one in found.best] == sorted((one.score for one in found.best), reverse=True)
