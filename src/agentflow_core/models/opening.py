"""Open the models of a run: one provider a setting, the layers around each, one model a role."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from attrs import define, field, frozen

from agentflow_core.answers import AnswerStore
from agentflow_core.blobs import BlobStore
from agentflow_core.config import PluginChoice, load_config
from agentflow_core.errors import PluginError, UsageError
from agentflow_core.interfaces import ChatModel, OfflinePolicy
from agentflow_core.models.accounting import AccountedModel, Ledger, Spending
from agentflow_core.models.budget import Budget, BudgetedModel
from agentflow_core.models.cache import CachedModel
from agentflow_core.models.clock import Clock, SystemClock
from agentflow_core.models.limiter import AdaptiveLimiter, LimitedModel
from agentflow_core.models.offline import OfflineModel
from agentflow_core.models.recording import RecordedModel, recording_store
from agentflow_core.models.replay import ReplayConfig, ReplayModel
from agentflow_core.models.retries import RetryingModel
from agentflow_core.plugins import PluginHost
from agentflow_core.records import ModelRole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agentflow_core.models.config import ModelsConfig
    from agentflow_core.records import Usage
    from agentflow_core.records.events import Event

__all__ = ["RunModels", "open_models"]

_ROLES: tuple[ModelRole, ...] = get_args(ModelRole)
_DEFAULT_CONCURRENCY = 64


@frozen(kw_only=True)
class RunModels:
    """The models of a run, by role: ``models("solver")``."""

    by_role: Mapping[ModelRole, ChatModel]
    ledger: Ledger
    budget: Budget
    limiters: Mapping[tuple[str, str], AdaptiveLimiter]  #: by host and model name

    def __call__(self, role: ModelRole) -> ChatModel:
        """The model that plays the role. Raises `UsageError` for the embedder where none is configured."""
        if role not in self.by_role:
            raise UsageError(
                f"no model plays the role {role!r}", hint="name one, such as roles: {embedder: openai/NAME}"
            )
        return self.by_role[role]

    @property
    def spent(self) -> Mapping[str, Usage]:
        """What each role really spent; answers from the cache cost nothing."""
        return self.ledger.by_role

    @property
    def spending(self) -> tuple[Spending, ...]:
        """What was really spent by model, role and purpose."""
        return self.ledger.entries


def _ignore(event: Event) -> None:
    """Nobody listens."""


@asynccontextmanager
async def open_models(
    config: ModelsConfig,
    *,
    host: PluginHost,
    cache: Path | None = None,
    record: Path | None = None,
    replay: Path | None = None,
    blobs: BlobStore | None = None,
    observe: Callable[[Event], None] = _ignore,
    tools_policies: Mapping[str, str | OfflinePolicy] | None = None,
    used: Usage | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[RunModels]:
    """Open the models; all connections and stores are closed at the end.

    Roles with equal provider and settings share one provider; models on one server share one limiter.

    Args:
        config: which model plays which role, retries, budget, and whether answers are cached.
        host: where providers and offline policies are looked up.
        cache: file of the run's answers; None keeps none.
        record: directory to record all answers into.
        replay: directory of a recording that answers in place of every model; nothing is sent.
        blobs: where the bytes of images are.
        observe: is told of calls and limits.
        tools_policies: offline policies, or their import paths, by tool name or group, before those of plugins.
        used: what the run spent before it was resumed; it counts against the budget.
        clock: for limits, retries and budgets.

    Raises:
        UnknownNameError: no plugin provides a model of that name.
        ConfigError: its settings are wrong.
        AuthenticationError: a key is missing.
        UsageError: a budget in dollars with a model whose price is unknown.
    """
    clock = clock or SystemClock()
    ledger = Ledger()
    budget = Budget(config.budget, used=used, count_cached=False, observe=observe, clock=clock)
    async with AsyncExitStack() as stack:
        answers = await _store(stack, AnswerStore(cache)) if cache is not None and config.cache else None
        recording = await _store(stack, recording_store(record)) if record is not None else None
        providers = _Providers(host, blobs, replay, tools_policies or {})
        limiters: dict[tuple[str, str], AdaptiveLimiter] = {}
        stacked: dict[int, ChatModel] = {}
        by_role: dict[ModelRole, ChatModel] = {}
        for role in _ROLES:
            if role == "embedder" and role not in config.roles:
                continue  # a chat model gives no embeddings, so the model of every role cannot stand in
            provider = await providers.get(config.roles.get(role, config.model), stack)
            if id(provider) not in stacked:
                _check_price(provider, config)
                model: ChatModel = provider
                if not getattr(provider, "local", False):
                    model = LimitedModel(model, _limiter(limiters, provider, clock))
                    model = RetryingModel(model, config.retries, clock=clock)
                    if answers is not None:
                        model = CachedModel(
                            model,
                            answers,
                            host=getattr(provider, "host", ""),
                            sampling=getattr(provider, "sampling", None),
                        )
                if recording is not None:
                    model = RecordedModel(model, recording)
                model = AccountedModel(model, ledger, observe=observe, clock=clock)
                stacked[id(provider)] = BudgetedModel(model, budget)
            by_role[role] = stacked[id(provider)]
        yield RunModels(by_role=by_role, ledger=ledger, budget=budget, limiters=limiters)


@define
class _Providers:
    """Build each provider once."""

    host: PluginHost
    blobs: BlobStore | None
    replay: Path | None
    policies: Mapping[str, str | OfflinePolicy]
    _built: list[tuple[str, object, Any]] = field(factory=list, init=False)

    async def get(self, choice: PluginChoice, stack: AsyncExitStack) -> Any:
        entry = self.host.registry.get("model", choice.name)
        settings = _settings(entry.resolve_config(), choice, self.host)
        for name, known, provider in self._built:
            if name == choice.name and known == settings:
                return provider
        provider = entry.build(settings)
        if not callable(getattr(provider, "complete", None)):
            raise PluginError(f"{entry} is no chat model: it has no method 'complete'")
        if self.replay is not None:
            provider = ReplayModel(ReplayConfig(path=self.replay), name=provider.name)
        elif callable(bind := getattr(provider, "bind", None)):
            bind(self.host, self.blobs)
        if isinstance(provider, OfflineModel):
            provider.use(self.policies)
        if hasattr(provider, "__aenter__"):
            provider = await stack.enter_async_context(provider)
        else:
            stack.push_async_callback(provider.aclose)
        self._built.append((choice.name, settings, provider))
        return provider


def _settings(config: type | None, choice: PluginChoice, host: PluginHost) -> object | None:
    """The settings as the provider's config class, whether or not the configuration was loaded with a registry."""
    if isinstance(choice.settings, Mapping) and config is not None:
        return cast("object", load_config(config, choice.settings, registry=host.registry).config)
    return choice.settings


async def _store(stack: AsyncExitStack, store: AnswerStore) -> AnswerStore:
    return await stack.enter_async_context(store)


def _limiter(limiters: dict[tuple[str, str], AdaptiveLimiter], provider: Any, clock: Clock) -> AdaptiveLimiter:
    """The limiter of a model on a server; the first role that names it sets its limits."""
    key = (getattr(provider, "host", ""), provider.name)
    if key not in limiters:
        settings = getattr(provider, "config", None)
        limiters[key] = AdaptiveLimiter(
            getattr(settings, "max_concurrency", _DEFAULT_CONCURRENCY),
            requests_per_minute=getattr(settings, "requests_per_minute", None),
            tokens_per_minute=getattr(settings, "tokens_per_minute", None),
            clock=clock,
        )
    return limiters[key]


def _check_price(provider: Any, config: ModelsConfig) -> None:
    if config.budget.usd is not None and getattr(provider, "price", 0) is None:
        raise UsageError(
            f"the price of {provider.name} is unknown, so a budget in dollars cannot be kept",
            hint="name it in the model's settings, 'prices: {input: …, output: …}', or set a budget in tokens",
        )
