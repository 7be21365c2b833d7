"""Import paths: what they lead to, and what is said when they lead nowhere."""

from __future__ import annotations

import os.path

import pytest

from agentflow_core.errors import RefError
from agentflow_core.refs import resolve


def test_a_path_leads_to_an_attribute_however_deep():
    assert resolve("os.path:join") is os.path.join
    assert resolve("os:path.join") is os.path.join


@pytest.mark.parametrize(
    "ref", ["", "os", "os:", ":join", "os.path:join()", "os path:join", "../x:y", "os:a-b", "os:a\n"]
)
def test_what_is_no_path_is_refused_before_anything_is_imported(ref: str):
    with pytest.raises(RefError, match="is not an import path"):
        resolve(ref)


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(RefError, match="importing no_such_module failed: ModuleNotFoundError"):
        resolve("no_such_module:x")


def test_an_attribute_that_is_not_there_is_named():
    with pytest.raises(RefError, match=r"os has no 'path\.nothing'"):
        resolve("os:path.nothing")


def test_whatever_a_module_raises_is_the_cause(fake_dist):
    fake_dist("agentflow-broken", modules={"part.py": "raise ValueError('on purpose')"}, entry_points={})
    with pytest.raises(RefError, match="ValueError: on purpose") as caught:
        resolve("agentflow_broken.part:x")
    assert isinstance(caught.value.__cause__, ValueError)
