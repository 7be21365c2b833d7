"""Versions and requirements, held against the ``packaging`` library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from agentflow_core.plugins.versions import is_satisfied, parse_requirement

numbers = st.integers(0, 3)
releases = st.lists(numbers, min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
tails = st.sampled_from(["", "a1", "b2", "rc1", ".post1", ".dev2", "rc1.dev1", "+local.1"])
versions = st.builds(
    lambda epoch, release, tail: epoch + release + tail, st.sampled_from(["", "", "", "1!"]), releases, tails
)
clauses = st.builds(
    lambda operator, version, star: operator + version + star,
    st.sampled_from(["==", "!=", "<=", ">=", "<", ">", "~=", "==="]),
    versions,
    st.sampled_from(["", "", ".*"]),
)


@given(clauses=st.lists(clauses, min_size=1, max_size=2), version=versions)
def test_specifiers_admit_what_packaging_admits(clauses, version):
    specifier = ",".join(clauses)
    try:
        expected = SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return
    assert is_satisfied(specifier, version) == expected


@pytest.mark.parametrize("specifier", ["", " ", ">=0.1", "== 0.1.*", ">=0.1 , <0.2"])
def test_a_release_satisfies_what_names_it(specifier):
    assert is_satisfied(specifier, "0.1.0") is True


@pytest.mark.parametrize(("specifier", "version"), [("0.1", "0.1"), (">=", "0.1"), (">=0.1", "main"), (">=x", "0.1")])
def test_what_cannot_be_read_is_neither_satisfied_nor_refused(specifier, version):
    assert is_satisfied(specifier, version) is None


@pytest.mark.parametrize(
    ("text", "name", "specifier", "marker"),
    [
        ("agentflow-core", "agentflow-core", "", ""),
        ("AgentFlow_Core>=0.1,<0.2", "agentflow-core", ">=0.1,<0.2", ""),
        ("agentflow-core[parquet] (>=0.1)", "agentflow-core", ">=0.1", ""),
        ("agentflow-core==0.1.0; extra == 'core'", "agentflow-core", "==0.1.0", "extra == 'core'"),
        ("agentflow-core @ file:///somewhere", "agentflow-core", "", ""),
    ],
)
def test_a_requirement_is_read(text, name, specifier, marker):
    found = parse_requirement(text)
    assert (found.name, found.specifier, found.marker) == (name, specifier, marker)


def test_a_line_that_is_no_requirement_is_none():
    assert parse_requirement(">=1.0") is None
