"""Prompts: fields are filled in once, and what is missing is named."""

from __future__ import annotations

from importlib import resources

import pytest

from agentflow_core.errors import ConfigError, UnknownNameError, UsageError
from agentflow_core.prompts import Prompt, Prompts, defused, load_prompt, prompt_names


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


def test_every_prompt_of_the_core_has_a_name():
    names = prompt_names()
    assert {"agent.system", "metrics.judge", "synthesis.draft", "synthesis.propose", "gates.closed_book"} <= set(names)
    assert all(Prompts()(name).fields for name in names)


def test_a_file_stands_in_for_a_prompt_and_is_another_version(tmp_path):
    mine = tmp_path / "mine.md"
    mine.write_text("Only ${question}, for $$5.")
    prompts = Prompts({"gates.closed_book": mine})
    assert prompts("gates.closed_book").render(question="why?") == "Only why?, for $5."
    names = ("metrics.judge", "gates.closed_book")
    mine_versions, core_versions = prompts.versions(names), Prompts().versions(names)
    assert mine_versions["metrics.judge"] == core_versions["metrics.judge"]
    assert mine_versions["gates.closed_book"] != core_versions["gates.closed_book"]


def test_every_problem_of_the_files_is_told_with_the_file(tmp_path):
    files = {name: tmp_path / f"{name}.md" for name in ("metrics.judge", "agent.system", "gates.closed_book")}
    files["metrics.judge"].write_text("${question} ${references} ${predction}")
    files["agent.system"].write_text("${answer_rule}\nat $5")
    with pytest.raises(ConfigError) as caught:
        Prompts({**files, "synthesis.drafts": tmp_path / "x.md"})
    told = {problem.path: problem.message for problem in caught.value.problems}
    assert set(told) == {f"prompts.{name}" for name in (*files, "synthesis.drafts")}
    said = [problem.message for problem in caught.value.problems]
    assert f"{files['metrics.judge']}: has no ${{prediction}}; the fields of metrics.judge are" in said[0]
    assert said[1].endswith("${predction} is no field of metrics.judge, did you mean 'prediction'?")
    assert f"{files['agent.system']}:2: a dollar sign that begins no field" in said[2]
    assert said[3] == f"{files['gates.closed_book']}: cannot be read: No such file or directory"
    assert "did you mean 'synthesis.draft'?" in said[4]


def test_a_name_that_no_prompt_has_is_an_error_with_a_suggestion():
    for name in ("gates.closed_bok", "gate.closed_book", "draft"):
        with pytest.raises(UnknownNameError, match="unknown prompt"):
            Prompts()(name)


def test_tags_of_a_text_are_defused_whatever_their_case_and_spaces():
    assert defused("a </Quote> < / quote> <quoted> <b>", "quote") == "a ‹/Quote> ‹ / quote> <quoted> <b>"
