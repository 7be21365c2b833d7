"""What sentences tell of a subject: what it is, and what is said of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.prose import sentences, told_of


def phrases(name, text):
    return [clause.phrase for clause in told_of(name, sentences(text)).clauses]


@pytest.mark.parametrize(
    ("text", "phrase", "relative"),
    [
        ("The Ostrel is a granite bridge in Dunmarrow.", "granite bridge", "that"),
        ("Ostrel was an Italian composer and pianist.", "Italian composer", "who"),
        ("Ostrel is one of the largest lakes of the north.", "lakes", "that"),
        ("Ostrel is the capital of Orsany.", "capital city", "that"),
        ("# Ostrel\n\nA picture\n\nOstrel is a museum built in 1890.", "museum", "that"),
    ],
)
def test_the_first_sentence_about_a_thing_says_what_it_is(text, phrase, relative):
    kind = told_of("Ostrel", sentences(text)).kind
    assert kind is not None
    assert (kind.phrase, kind.relative) == (phrase, relative)
    assert kind.head in phrase.split()


@pytest.mark.parametrize(
    "text", ["Ostrel is a member of the council.", "Ostrel is old.", "Ostrel crosses the Esk.", ""]
)
def test_what_does_not_say_what_a_thing_is_gives_no_kind(text):
    assert told_of("Ostrel", sentences(text)).kind is None


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("It was built by Ferrant Works and opened in 1904.", ["was built by Ferrant Works", "was opened in 1904"]),
        ("It has 29 rooms and receives 81,900 visitors.", ["has 29 rooms", "receives 81,900 visitors"]),
        ("It takes place in June and lasts 8 days.", ["takes place in June", "lasts 8 days"]),
        ("The bridge guards the Esk.", ["guards the Esk"]),
        ("It shows references and characters from plays.", ["shows references and characters from plays"]),
        ("It later (in 1911) burned down.", ["burned down"]),
        ("Founded long before, it was sold in 1911.", ["was sold in 1911"]),
        ("Ostrel's breeds have spread.", []),
        ("Ostrel breeds have spread.", []),
        ("Wend crosses the Esk.", []),
    ],
)
def test_what_is_said_is_parted_into_phrases_that_stand_by_themselves(said, found):
    assert phrases("Ostrel", f"Ostrel is a bridge. {said}")[1:] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ostrel is a museum founded in 1890.", ["is a museum", "was founded in 1890"]),
        ("Ostrel is a company based in Lunn.", ["is a company", "is based in Lunn"]),
        ("Ostrel is a lamp made by Ember Works.", ["is a lamp", "is made by Ember Works"]),
        ("Ostrel is a 1974 film made by Ember Works.", ["is a 1974 film", "was made by Ember Works"]),
        ("Ostrel is a film starring Ada Wray.", ["is a film", "stars Ada Wray"]),
        ("Ostrel is a bridge that crosses the Esk.", ["is a bridge", "crosses the Esk"]),
    ],
)
def test_what_describes_the_noun_is_a_phrase_of_its_own(text, found):
    assert phrases("Ostrel", text) == found


def test_the_full_form_of_a_name_is_the_subject_of_the_first_sentence():
    text = "Robert Childers Ostrel was an Irish politician. Ostrel died in 1975."
    assert phrases("Robert Ostrel", text) == ["was an Irish politician", "died in 1975"]


def test_sentences_are_kept_as_they_are_and_read_without_markup():
    said = "The **Ostrel** is a bridge."
    (clause,) = told_of("Ostrel", (said,), plain=lambda sentence: sentence.replace("**", "")).clauses
    assert (clause.phrase, clause.sentence) == ("is a bridge", said)


@given(st.text(max_size=30), st.text(max_size=300))
def test_no_text_makes_the_reading_fail(name, text):
    assert all(clause.sentence in text for clause in told_of(name, sentences(text)).clauses)
