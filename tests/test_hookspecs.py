"""Every hook has an example that works, and the host knows every hook."""

from __future__ import annotations

import doctest
import inspect
from collections import Counter
from types import ModuleType

import pytest

from agentflow_core import contributions, hookspecs
from agentflow_core.plugins.hooks import CONTRIBUTING, HOOKS, OBSERVE, PluginHooks
from agentflow_core.records import events

SPECS = {name: value for name, value in vars(hookspecs).items() if hasattr(value, "agentflow_spec")}


def example(hook, **names):
    """Run the example in the hook's docstring; the plugin that it makes."""
    scope = {"hookimpl": hookspecs.hookimpl, **vars(contributions), **vars(events), **names}
    [test] = doctest.DocTestFinder(recurse=False).find(SPECS[hook], hook, globs=scope)
    assert test.examples, f"{hook} has no example"
    runner = doctest.DocTestRunner()
    runner.run(test, out=lambda text: None, clear_globs=False)
    assert runner.failures == 0
    plugin = ModuleType("example")
    setattr(plugin, hook, test.globs[hook])
    return PluginHooks("example", plugin)


def test_the_host_knows_every_hook():
    assert sorted(HOOKS) == sorted(SPECS)


def test_every_kind_of_contribution_has_its_hook():
    kinds = {
        value
        for value in vars(contributions).values()
        if inspect.isclass(value) and issubclass(value, contributions.Contribution)
    }
    assert set(CONTRIBUTING.values()) == kinds - {contributions.Contribution}


@pytest.mark.parametrize("hook", CONTRIBUTING)
def test_the_example_of_a_hook_contributes(hook):
    [spec] = example(hook).contributions()
    assert type(spec) is CONTRIBUTING[hook]
    assert spec.summary


def test_the_example_of_observe_counts():
    counts = Counter()
    hooks = example(OBSERVE, counts=counts)
    for accepted in (True, False, True):
        hooks.observe(events.DraftJudged(qa="qa-1", accepted=accepted))
    assert hooks.contributions() == ()
    assert counts == {"accepted": 2}
