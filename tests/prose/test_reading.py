"""Sentences, names and words in English prose."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.prose import (
    DATE,
    DATE_OR_YEAR,
    base_title,
    content_words,
    is_named_in,
    mentions_name,
    name_key,
    sentence_spans,
    sentences,
    with_article,
    without_asides,
)

WRITTEN = st.lists(
    st.sampled_from(["He", "he", "Mr.", "U.S.", "A.", "ran.", "“No!”", "(what?)", "\n", "\n\n", "  ", "1904", "é."])
).map(" ".join)


def test_sentences_end_where_people_end_them():
    text = "He met J. R. Smith Jr. in the U.S. Army. Then he left.\nNew line"
    assert sentences(text) == ("He met J. R. Smith Jr. in the U.S. Army.", "Then he left.", "New line")


def test_a_closing_quotation_mark_belongs_to_the_sentence_before_it():
    assert sentences("“It is cold.” They left (at last!) Nobody saw it.") == (
        "“It is cold.”",
        "They left (at last!)",
        "Nobody saw it.",
    )


@pytest.mark.parametrize(
    "text", ["It cost approx. Six crowns.", "See Fig. 3 of it.", "It is by Dr. Ash.", "Ash et al. wrote"]
)
def test_an_abbreviation_ends_no_sentence(text):
    assert sentences(text) == (text,)


def test_markup_stays_in_the_sentences():
    text = "# Wend\n\nThe **Wend** is a [river](http://x.org/a_(b)) (in Tarnmoor). Dr. Ash mapped it."
    assert sentences(text) == (
        "# Wend",
        "The **Wend** is a [river](http://x.org/a_(b)) (in Tarnmoor).",
        "Dr. Ash mapped it.",
    )


def test_a_sentence_of_wrapped_text_goes_on_in_the_next_line():
    text = "The harbour was\nopened in 1904. It is\ndeep."
    shown = [text[span.start : span.end] for span in sentence_spans(text, is_wrapped=True)]
    assert shown == ["The harbour was\nopened in 1904.", "It is\ndeep."]


@given(text=WRITTEN | st.text(), is_wrapped=st.booleans())
def test_all_that_is_written_stands_in_one_sentence(text, is_wrapped):
    spans = list(sentence_spans(text, is_wrapped=is_wrapped))
    shown = [text[span.start : span.end] for span in spans]
    assert all(piece and piece == piece.strip() for piece in shown)
    assert all(before.end <= after.start for before, after in pairwise(spans))
    assert "".join("".join(shown).split()) == "".join(text.split())


def test_asides_are_left_out_with_the_space_before_them():
    said = "The Wend (German: Wende (f.)) is a river [1], 12 km long ."
    assert without_asides(said) == "The Wend is a river, 12 km long."


@pytest.mark.parametrize(
    ("title", "name"),
    [("Ed Wood (film)", "Ed Wood"), ("I&quot;s", 'I"s'), ("(untitled)", "(untitled)"), (" Ulm ", "Ulm"), ("", "")],
)
def test_a_title_gives_a_name(title, name):
    assert base_title(title) == name


def test_spellings_of_one_name_have_one_key():
    assert {name_key(name) for name in ("The River Esk", "river-esk", "River  Esk", "River Esk!")} == {"river esk"}
    assert name_key("The") == "the"


@pytest.mark.parametrize(
    ("name", "text", "stands"),
    [
        ("Esk", "It crosses the Esk.", True),
        ("Esk", "Esk's bridge", True),
        ("Esk", "The Esk-Wend canal", False),
        ("Wend", "The Esk-Wend canal", False),
        ("Esk", "It is in Eskdale.", False),
        ("Esk", "it crosses the esk", False),
        ("Who?", "by Who? in 1970", True),
        ("", "anything", False),
    ],
)
def test_a_name_is_mentioned_as_whole_words_that_no_hyphen_joins(name, text, stands):
    assert mentions_name(name, text) is stands


@pytest.mark.parametrize("text", ["Who crossed the river esk?", "On River-Esk, what", "The River Esk is long."])
def test_a_text_names_a_thing_in_any_spelling(text):
    assert is_named_in("River Esk", text)


def test_a_text_without_the_name_does_not_name_it():
    assert not is_named_in("River Esk", "Which river flows past the Esk Mill?")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The Inn is a river.", "the Inn"),
        ("It is the [Inn](http://x.org).", "the Inn"),
        ("Inn is a town.", "Inn"),
        ("The Inn Valley is wide, and Inn is a town.", "Inn"),
    ],
)
def test_a_name_has_its_article_where_the_text_says_so(text, shown):
    assert with_article("Inn", text) == shown


def test_words_with_one_stem_are_one_and_function_words_are_left_out():
    assert content_words("Which bridges has it crossed?") == content_words("the bridge crosses")
    assert content_words("How long is it?") == content_words("its length")
    assert content_words("It was made in 3 days") == content_words("makes day")


def test_dates_are_found_as_they_are_written():
    text = "on 5 January 2010, on May 6, 1911, in June 1912 and in 1904"
    assert re.findall(DATE, text) == ["5 January 2010", "May 6, 1911"]
    assert DATE_OR_YEAR.findall(text) == ["5 January 2010", "May 6, 1911", "June 1912", "1904"]
