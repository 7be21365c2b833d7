"""The models of a run, as a run opens them: all layers, a real server."""

from __future__ import annotations

import anyio
import pytest
from attrs import evolve

from agentflow_core.config import PluginChoice, load_config
from agentflow_core.contributions import ModelSpec
from agentflow_core.errors import (
    AuthenticationError,
    ConfigError,
    LimitReached,
    PluginError,
    ReplayMissError,
    UnknownNameError,
    UsageError,
)
from agentflow_core.interfaces import Move
from agentflow_core.models import BudgetConfig, ModelsConfig, RetryConfig, open_models
from agentflow_core.records import ModelRequest, SolveInputs, ToolDefinition, Usage, user
from agentflow_core.records.events import LimitHit, ModelCalled
from agentflow_core.testing.openai_server import Fault, Faults, OpenAIServer

REQUEST = ModelRequest(messages=(user("hi"),))
FAST = RetryConfig(base_s=0.001, cap_s=0.002, max_attempts=40)


@pytest.fixture
def host(plugin_host):
    return plugin_host()


@pytest.fixture
def server():
    with OpenAIServer() as server:
        yield server


def at(server, **settings):
    return PluginChoice("openai", {"name": "m", "base_url": server.url, **settings})


async def test_with_no_configuration_every_role_is_played_offline(host):
    async with open_models(ModelsConfig(), host=host) as models:
        for role in ("explorer", "synthesizer", "solver", "judge"):
            assert models(role).name == "offline"
        await models("solver").complete(REQUEST)
        assert models.spent == {"solver": Usage(calls=1)}


async def test_a_role_may_have_its_own_model_and_equal_ones_share_a_limiter(host, server):
    config = ModelsConfig(
        model=at(server, max_concurrency=8),
        roles={"judge": at(server, temperature=0), "solver": PluginChoice("mock", None)},
    )
    async with open_models(config, host=host) as models:
        assert models("explorer") is models("synthesizer")
        assert models("judge") is not models("explorer")
        assert models("solver").name == "mock"
        limiter = models.limiters[server.url, "openai/m"]
        assert limiter.limit == 8
        await models("judge").complete(REQUEST)
        await models("explorer").complete(REQUEST)
    assert [body.get("temperature") for body in server.requests] == [0, None]


async def test_a_configuration_file_chooses_models_by_name_url_and_role(host, server):
    source = {
        "model": {"provider": "openai", "name": "m", "base_url": server.url},
        "roles": {"judge": "offline"},
        "budget": {"calls": 5},
    }
    config = load_config(ModelsConfig, source, registry=host.registry).config
    async with open_models(config, host=host) as models:
        assert (await models("solver").complete(REQUEST)).text == "hi"
        assert models("judge").name == "offline"


async def test_a_second_run_on_the_same_cache_sends_nothing_and_spends_nothing(host, server, tmp_path):
    events = []
    for _ in range(2):
        async with open_models(
            ModelsConfig(model=at(server)), host=host, cache=tmp_path / "cache.sqlite", observe=events.append
        ) as models:
            completion = await models("solver").complete(REQUEST)
            spent = models.spent
    assert server.calls == 1
    assert completion.usage.prompt_tokens > 0
    assert spent == {}
    assert [(event.cached, event.attempts) for event in events] == [(False, 1), (True, 0)]


async def test_the_cache_can_be_turned_off(host, server, tmp_path):
    config = ModelsConfig(model=at(server), cache=False)
    async with open_models(config, host=host, cache=tmp_path / "cache.sqlite") as models:
        await models("solver").complete(REQUEST)
        await models("solver").complete(REQUEST)
    assert server.calls == 2
    assert not (tmp_path / "cache.sqlite").exists()


async def test_no_secret_reaches_cache_or_recording(host, server, tmp_path):
    choice = at(server, api_key="sk-very-secret")
    async with open_models(
        ModelsConfig(model=choice), host=host, cache=tmp_path / "cache.sqlite", record=tmp_path / "recording"
    ) as models:
        await models("solver").complete(REQUEST)
    assert server.headers[0]["Authorization"] == "Bearer sk-very-secret"
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"sk-very-secret" not in path.read_bytes()


async def test_a_recording_answers_in_place_of_the_server_without_a_key(host, server, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with open_models(ModelsConfig(model=at(server)), host=host, record=tmp_path) as models:
        recorded = await models("solver").complete(REQUEST)
    config = ModelsConfig(model=PluginChoice("openai", {"name": "m"}))
    async with open_models(config, host=host, replay=tmp_path) as models:
        assert models("solver").name == "openai/m"
        assert await models("solver").complete(REQUEST) == recorded
        assert models.spent == {}
        with pytest.raises(ReplayMissError):
            await models("judge").complete(evolve(REQUEST, role="judge"))
    assert server.calls == 1


async def test_the_offline_model_can_be_recorded_and_a_recording_named_as_the_model(host, tmp_path):
    async with open_models(ModelsConfig(), host=host, record=tmp_path) as models:
        recorded = await models("solver").complete(REQUEST)
    config = ModelsConfig(model=PluginChoice("replay", {"path": str(tmp_path)}))
    async with open_models(config, host=host) as models:
        assert await models("solver").complete(REQUEST) == recorded


async def test_a_bad_server_is_survived_and_each_request_is_counted(host, tmp_path):
    faults = Faults(rate_limit=0.15, server_error=0.1, disconnect=0.1, malformed=0.05, seed=7)
    events = []
    with OpenAIServer(faults=faults, latency_ms=1) as server:
        config = ModelsConfig(model=at(server), retries=FAST)
        async with open_models(config, host=host, cache=tmp_path / "c.sqlite", observe=events.append) as models:
            answers = {}

            async def call(number):
                request = ModelRequest(messages=(user(f"question {number}"),))
                answers[number] = (await models("solver").complete(request)).text

            async with anyio.create_task_group() as group:
                for number in range(100):
                    group.start_soon(call, number)
            spent = models.spent["solver"]
            limit = models.limiters[server.url, "openai/m"].limit
    assert answers == {number: f"question {number}" for number in range(100)}
    assert server.calls == spent.calls == sum(event.attempts for event in events) > 100
    assert limit < 64


async def test_a_rate_limited_server_is_asked_again_no_sooner_than_it_said(host, clock):
    with OpenAIServer(script=[Fault(kind="rate_limit", retry_after_s=30)]) as server:
        async with open_models(ModelsConfig(model=at(server)), host=host, clock=clock) as models:
            assert (await models("solver").complete(REQUEST)).text == "hi"
    assert clock.now() - 1000 >= 30


async def test_a_budget_ends_the_calls_and_says_so_once(host, server):
    events = []
    config = ModelsConfig(model=at(server), budget=BudgetConfig(calls=2))
    async with open_models(config, host=host, observe=events.append) as models:
        for _ in range(2):
            await models("solver").complete(REQUEST)
        for _ in range(2):
            with pytest.raises(LimitReached):
                await models("judge").complete(REQUEST)
    assert [type(event) for event in events] == [ModelCalled, ModelCalled, LimitHit]


async def test_a_budget_in_dollars_with_an_unknown_price_is_refused_at_once(host, server):
    config = ModelsConfig(model=at(server), budget=BudgetConfig(usd=1))
    with pytest.raises(UsageError, match="price of openai/m is unknown"):
        async with open_models(config, host=host):
            pass
    known = at(server, prices={"input": 1, "output": 1})
    async with open_models(ModelsConfig(model=known, budget=BudgetConfig(usd=1)), host=host) as models:
        await models("solver").complete(REQUEST)
        assert models.budget.used.cost_usd > 0


async def test_a_wrong_key_is_counted_and_raised_without_a_retry(host):
    events = []
    with OpenAIServer(api_key="right") as server:
        config = ModelsConfig(model=at(server, api_key="wrong"))
        async with open_models(config, host=host, observe=events.append) as models:
            with pytest.raises(AuthenticationError):
                await models("solver").complete(REQUEST)
    assert server.calls == 1
    assert events[0].outcome == "error:authentication"


async def test_policies_given_by_the_run_play_the_offline_model(host):
    class Policy:
        def solve(self, inputs):
            return Move(answer="mine", confidence=1.0)

    tool = ToolDefinition(name="toy:play", description="", parameters={})
    inputs = SolveInputs(question="q", steps=(), tools=(tool,), turn=0, max_turns=2)
    async with open_models(ModelsConfig(), host=host, tools_policies={"toy": Policy()}) as models:
        completion = await models("solver").complete(ModelRequest(messages=(user("x"),), inputs=inputs))
    assert completion.text == "<answer>mine</answer>"


async def test_an_unknown_provider_and_wrong_settings_are_named(host):
    with pytest.raises(UnknownNameError, match="opanai"):
        async with open_models(ModelsConfig(model=PluginChoice("opanai")), host=host):
            pass
    with pytest.raises(ConfigError, match="temprature"):
        async with open_models(ModelsConfig(model=PluginChoice("openai", {"name": "m", "temprature": 1})), host=host):
            pass


async def test_a_provider_of_a_plugin_is_bound_opened_and_closed(plugin_host, fake_dist):
    source = """
    from agentflow_core.records import Completion, Usage, assistant

    class Parrot:
        name = "parrot"
        log = []

        def bind(self, host, blobs):
            self.log.append("bind")

        async def complete(self, request):
            return Completion(message=assistant(request.messages[-1].text), usage=Usage(calls=1))

        async def aclose(self):
            self.log.append("aclose")
    """
    fake_dist("agentflow-parrot", modules={"models.py": source})
    spec = ModelSpec("parrot", target="agentflow_parrot.models:Parrot", summary="repeats")
    async with open_models(ModelsConfig(model=PluginChoice("parrot")), host=plugin_host(spec)) as models:
        assert (await models("solver").complete(REQUEST)).text == "hi"
    from agentflow_parrot.models import Parrot

    assert Parrot.log == ["bind", "aclose"]


async def test_a_provider_that_is_no_chat_model_is_refused(plugin_host):
    spec = ModelSpec("thing", target="collections:OrderedDict", summary="no model")
    with pytest.raises(PluginError, match="no chat model"):
        async with open_models(ModelsConfig(model=PluginChoice("thing")), host=plugin_host(spec)):
            pass
