"""Words, shingles, signatures, near-duplicates."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.text import (
    NearDuplicates,
    contains,
    jaccard,
    merge,
    minhash,
    normalize,
    novelty,
    overlap,
    shingles,
    shingles_of,
    tokens,
)
from agentflow_core.text.words import hash64

words = st.lists(st.sampled_from("abcdefg"), max_size=30)


def test_words_are_folded_and_signs_part_them():
    assert tokens("The U.S.A., naïve ＣＡＦÉ's Straße_2!") == ["the", "u", "s", "a", "naïve", "café", "s", "strasse_2"]


def test_characters_of_scripts_without_spaces_are_words():
    assert tokens("北京 is 東京x") == ["北", "京", "is", "東", "京", "x"]


@given(st.text())
def test_normal_text_is_its_own_normal_form(text):
    assert normalize(normalize(text)) == normalize(text)


@given(st.text())
def test_ascii_words_are_those_of_the_general_rule(text):
    ascii_text = text.encode("ascii", "replace").decode()
    assert tokens(ascii_text) == [word for word in tokens(ascii_text + "\u3042") if word != "\u3042"]


@given(words, st.integers(1, 7))
def test_shingles_are_weighted_sums_of_word_hashes(run, n):
    width = min(n, len(run))
    expected = {
        sum(
            hash64(word) >> (9 if width <= 5 else 0) << (width - 1 - at)
            for at, word in enumerate(run[start : start + width])
        )
        % 2**64
        for start in range(len(run) - width + 1 if run else 0)
    }
    assert shingles_of(run, n) == expected


@given(words, words)
def test_different_runs_have_different_shingles(left, right):
    def runs(of):
        return {tuple(of[start : start + 5]) for start in range(max(1, len(of) - 4))} if of else set()

    assert len(shingles_of(left) & shingles_of(right)) == len(runs(left) & runs(right))


def test_shingles_are_the_same_in_every_process():
    code = "from agentflow_core.text import shingles; print(sorted(shingles('one two three four five six')))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert seen == {f"{sorted(shingles('one two three four five six'))}\n".encode()}


def test_a_shingle_of_too_many_words_is_refused():
    with pytest.raises(ValueError, match="1 to 50"):
        shingles("a b", 51)


def test_novelty_is_the_share_of_what_is_new():
    assert novelty({1, 2, 3, 4}, {1}) == 0.75
    assert novelty(set(), {1}) == 0.0


@given(words, words)
def test_containing_is_an_unbroken_run(whole, part):
    spelled = bool(part) and " ".join(part) in " ".join(whole)
    assert contains(whole, part) == spelled


def numbers(rng, count):
    return {rng.getrandbits(64) for _ in range(count)}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_signatures_estimate_the_similarity(share):
    rng = Random(3)
    errors = []
    for _ in range(40):
        common, left, right = numbers(rng, int(600 * share)), numbers(rng, 200), numbers(rng, 200)
        exact = overlap(common | left, common | right)
        errors.append(jaccard(minhash(common | left), minhash(common | right)) - exact)
    assert abs(sum(errors) / len(errors)) < 0.03
    assert max(map(abs, errors)) < 0.2


def test_the_signature_of_a_union_is_the_merged_signature():
    rng = Random(5)
    parts = [numbers(rng, count) for count in (3, 50, 0, 400)]
    assert merge(map(minhash, parts)) == minhash(set().union(*parts))


def test_empty_sets_are_like_nothing():
    assert jaccard(minhash(()), minhash(())) == 0.0
    index: NearDuplicates[str] = NearDuplicates(0.5)
    index.add("empty", set())
    assert index.query(set()) == []


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("size", [4, 30, 70, 300])
def test_near_duplicates_are_found_at_every_size(threshold, size):
    rng = Random(9)
    index: NearDuplicates[int] = NearDuplicates(threshold)
    found = wanted = 0
    for key in range(30):
        base = numbers(rng, size)
        index.add(key, base)
        changed = set(sorted(base)[int(size * (1 - threshold) / 2) :])
        near = overlap(base, changed) >= threshold
        wanted += near
        found += near and [other for other, _ in index.query(changed)] == [key]
    assert wanted
    assert found == wanted


def test_near_duplicates_come_most_similar_first_and_have_their_exact_similarity():
    index: NearDuplicates[str] = NearDuplicates(0.5)
    index.add("half", set(range(20)))
    index.add("same", set(range(30)))
    assert index.query(set(range(30))) == [("same", 1.0), ("half", 20 / 30)]


def test_a_key_is_added_once():
    index: NearDuplicates[str] = NearDuplicates(0.5)
    index.add("a", {1})
    with pytest.raises(ValueError, match="'a'"):
        index.add("a", {2})
