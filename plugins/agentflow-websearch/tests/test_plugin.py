"""The table of contents, its configuration, and the doctor."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agentflow_core.config import load_config
from agentflow_core.errors import ConfigError
from agentflow_websearch.config import WebConfig
from agentflow_websearch.doctor import check_providers


def test_importing_the_plugin_imports_nothing_heavy():
    code = (
        "import sys, agentflow_websearch.plugin; "
        "print([m for m in ('httpx', 'httpcore', 'trafilatura', 'lxml', 'anyio') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_everything_that_the_plugin_names_is_there(plugin_host):
    import agentflow_websearch.plugin

    host = plugin_host(agentflow_websearch.plugin)
    entry = host.registry.get("backend", "web")
    assert entry.resolve().__name__ == "WebBackend"
    assert entry.resolve_config() is WebConfig
    assert entry.resolve_offline().__name__ == "WebPolicy"
    assert host.registry.get("check", "web-providers").resolve() is check_providers


async def test_the_doctor_says_which_keys_are_set_and_not_what_they_are(monkeypatch):
    monkeypatch.setenv("SERPER_API_KEY", "very-secret")
    monkeypatch.delenv("SEARXNG_URL", raising=False)
    works, said = await check_providers()
    assert works
    assert "SERPER_API_KEY is set" in said
    assert "set SEARXNG_URL" in said
    assert "very-secret" not in said


def test_every_problem_of_a_configuration_is_named_with_its_path():
    wrong = {
        "search": ["googel"],
        "visit": [],
        "local": {"max_redirects": -1},
        "cache": {"mode": "reply"},
        "serper": {"api_kye": "x"},
    }
    with pytest.raises(ConfigError) as caught:
        load_config(WebConfig, wrong)
    for path in ("search.0", "local.max_redirects", "cache.mode", "serper.api_kye"):
        assert path in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"visit": ["local", "local"]}, "somebody twice"), ({"allow_hosts": ["http://x"]}, "without scheme")],
)
def test_what_makes_no_sense_is_refused(settings, says):
    with pytest.raises(ConfigError, match=says):
        load_config(WebConfig, settings)


def test_keys_are_not_shown():
    loaded = load_config(WebConfig, {"serper": {"api_key": "very-secret"}, "jina": {"api_key": "also-secret"}})
    assert "secret" not in str(loaded.resolved) + repr(loaded.config)
