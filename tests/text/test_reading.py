"""Numbers, dates, names and quotes in texts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.text import Date, dates, find_quote, mentions, numbers, proper_names, quoted


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("5", ["5"]),
        ("-5", ["-5"]),
        ("\u22125", ["-5"]),
        ("(5)", ["-5"]),
        ("($1,234.50)", ["-1234.5"]),
        ("in (1986) he", ["1986"]),
        ("1,234", ["1234"]),
        ("1.234,56", ["1234.56"]),
        ("1.234.567", ["1234567"]),
        ("1'234", ["1234"]),
        ("1\u00a0234,5", ["1234.5"]),
        ("3,14", ["3", "14"]),
        ("1, 2, 3", ["1", "2", "3"]),
        ("US$5 and -$5 and $-5 and 5€", ["5", "-5", "-5", "5"]),
        ("5k, 5K, $5M, 2.3bn", ["5000", "5000", "5000000", "2300000000"]),
        ("5 million or 5-million", ["5000000", "5000000"]),
        ("1e-6", ["0.000001"]),
        ("3 x 10^8", ["300000000"]),
        ("6.02×10^{23}", ["6.02E+23"]),
        ("21st", ["21"]),
        ("5km", ["5"]),
        ("35,124.", ["35124"]),
        ("1986-2013", ["1986", "2013"]),
        ("12:30", ["12", "30"]),
        ("x = -3", ["-3"]),
        ("5 - 3", ["5", "3"]),
        ("F-15C hp-0001 MP3 3D 1980s v1.2.3 10.0.0.1 A.5", []),
        ("1e999999999", []),
        ("", []),
    ],
)
def test_numbers_are_read_as_people_write_them(text, values):
    assert [number.value for number in numbers(text)] == [Decimal(value) for value in values]


@pytest.mark.parametrize("text", ["5%", "5 %", "5 percent"])
def test_a_percentage_is_its_count(text):
    (number,) = numbers(text)
    assert (number.value, number.percent) == (Decimal(5), True)


@given(st.text())
def test_a_number_stands_where_it_says(text):
    for number in numbers(text):
        assert text[number.start : number.end] == number.text


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=2))
def test_a_number_written_with_separators_is_read_back(value):
    (number,) = numbers(f"it is {value:,} units")
    assert number.value == value


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_an_integer_is_read_back(value):
    assert [number.value for number in numbers(str(value))] == [value]


@pytest.mark.parametrize(
    "text",
    ["5 January 2010", "January 5, 2010", "January 5th, 2010", "Jan. 5 2010", "5th of January, 2010", "2010-01-05"],
)
def test_forms_of_one_date_are_one(text):
    assert dates(f"born on {text} in") == [Date(2010, 1, 5)]


def test_parts_of_dates_and_what_is_none():
    assert dates("March 2004; May 3; 2010; 5/1/2010; 2010-13-05") == [Date(2004, 3, None), Date(None, 5, 3)]


def test_names_are_runs_of_capitalised_words():
    text = "The director of Big Stone Gap, Adriana Trigiani's friend Roger O. Egeberg, met Max Martin and Ludwig van Beethoven."
    assert proper_names(text) == [
        "Big Stone Gap",
        "Adriana Trigiani",
        "Roger O. Egeberg",
        "Max Martin",
        "Ludwig van Beethoven",
    ]


def test_question_words_and_requests_are_no_names():
    assert proper_names("Which city? Name the river. In what year was University of Kansas founded?") == [
        "University of Kansas"
    ]


def test_quoted_strings_are_found_in_every_style():
    assert quoted("\"a b\" “c d” «e f» 'g h' it's dogs' `i j`") == ["a b", "c d", "e f", "g h", "i j"]


def test_a_part_of_a_mention_is_not_mentioned_again():
    found = mentions('Did "Big Stone Gap" open in 1999 at /etc/passwd, says user_id of New York?')
    assert [(mention.kind, mention.text) for mention in found] == [
        ("quoted", "Big Stone Gap"),
        ("name", "New York"),
        ("identifier", "/etc/passwd"),
        ("identifier", "user_id"),
        ("number", "1999"),
    ]


def test_nationalities_and_months_tie_nothing_together():
    assert all(mention.weak for mention in mentions("an American actor in May"))


def places(quote, text):
    return [text[span.start : span.end] for span in find_quote(quote, text)]


def test_an_exact_quote_is_found_wherever_it_stands():
    assert [span.start for span in find_quote("ab", "ab ab")] == [0, 3]


@pytest.mark.parametrize(
    ("quote", "exact"),
    [
        ("it's a dog", "it’s  a\ndog"),
        ('said "no"', "said “no”"),
        ("1986-2013", "1986–2013"),
        ("café au lait", "cafe\u0301 au\u00a0lait"),
        ("cooperate", "co\u00adoper\u200bate"),
        ("and so on...", "and so on…"),
        ('"quoted words"', "quoted words"),
        ("... some words ...", "some words"),
    ],
)
def test_a_quote_may_differ_in_form_and_is_given_as_the_text_has_it(quote, exact):
    assert places(quote, f"before {exact} after") == [exact]


@pytest.mark.parametrize(
    ("quote", "text"),
    [("Dog", "dog"), ("cafe", "café"), ("a b", "ab"), ("a, b", "a b"), ("", "a"), ("…", "a")],
)
def test_a_quote_that_differs_in_letters_is_not_found(quote, text):
    assert places(quote, text) == []


@given(st.text(max_size=60), st.integers(0, 60), st.integers(1, 20))
def test_every_slice_is_found_where_it_stands(text, start, length):
    piece = text[start : start + length].strip()
    if piece:
        assert piece in places(piece, text)


@given(st.text(alphabet="a’'\"“ \n\u0301é–-.…", max_size=12), st.text(alphabet="a’'\"“ \n\u0301é–-.…", max_size=40))
def test_a_found_quote_is_never_empty(quote, text):
    assert all(places(quote, text))
