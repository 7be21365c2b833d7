"""Prompts: fields are filled in once, and what is missing is named."""

from __future__ import annotations

from importlib import resources

import pytest

from agentflow_core.errors import UsageError
from agentflow_core.prompts import Prompt, load_prompt


def test_what_a_value_holds_is_never_expanded():
    prompt = Prompt(name="p", text="Q: ${question}\nCost: $$5")
    assert prompt.render(question="${secret} $HOME $$ $") == "Q: ${secret} $HOME $$ $\nCost: $5"


def test_a_missing_field_is_named_with_those_that_are_given():
    with pytest.raises(UsageError, match="prompt 'p' cannot be filled in: 'question'") as caught:
        Prompt(name="p", text="${question} ${seed}").render(seed="x")
    assert caught.value.hint == "its fields are: seed"


def test_a_stray_dollar_sign_is_an_error_of_the_prompt():
    with pytest.raises(UsageError, match="cannot be filled in: Invalid placeholder"):
        Prompt(name="p", text="it costs $5").render()


def test_the_version_follows_the_text():
    assert Prompt(name="p", text="a").version == Prompt(name="q", text="a").version
    assert Prompt(name="p", text="a").version != Prompt(name="p", text="b").version
    assert len(Prompt(name="p", text="a").version) == 12


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("agentflow_core.synthesis", "propose"),
        ("agentflow_core.synthesis", "draft"),
        ("agentflow_core.agent", "system"),
    ],
)
def test_the_prompts_of_the_core_are_loaded_from_their_package(package: str, name: str):
    prompt = load_prompt(package, name)
    assert prompt.name == name
    assert prompt.text == resources.files(package).joinpath("prompts", f"{name}.md").read_text("utf-8")
