"""Hold a backend to the laws of the sandbox, with pytest or without.

In a test module, one class is enough; each law is one test::

    class TestCounter(BackendConformance):
        subject = Subject(backend=CounterBackend, calls=[("add", {"amount": 2})])

Without pytest: ``report = await run_conformance(subject)``; ``report.ok``, ``report.lines()``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

import anyio
from attrs import field, frozen

from agentflow_core.errors import UsageError
from agentflow_core.names import unknown_name
from agentflow_core.sandbox import Backend

__all__ = ["BackendConformance", "Broken", "Law", "Missing", "Outcome", "Report", "Subject", "run_conformance"]

#: A tool without its group, and its arguments.
Call = tuple[str, Mapping[str, Any]]


class Broken(AssertionError):
    """A law that does not hold; the message says what was seen."""


class Missing(Exception):
    """A law that cannot be tried; the message says what the backend or the subject lacks."""


@frozen(kw_only=True)
class Subject:
    """What the laws are tried on. What is left out is skipped, with the reason.

    Each call runs in a fresh session after those before it in ``calls``, and succeeds there.
    """

    backend: Callable[[], Backend]  #: the class, or a function that makes one with its settings
    name: str = "subject"
    calls: Sequence[Call] = ()  #: ordinary calls, in order; best one of each tool
    plant: Callable[[str], Sequence[Call]] | None = None  #: calls that write a text where only the session may see it
    look: Sequence[Call] = ()  #: calls whose observations show what was planted
    slow: Call | None = None  #: a call that takes a minute unless it is stopped
    loud: Call | None = None  #: a call, after ``calls``, with a text of over 32 KB
    settings: Mapping[str, Any] = field(factory=dict)  #: of each session
    broken_settings: Mapping[str, Any] | None = None  #: with which `initialize` fails
    parallel: int = 32  #: sessions at once
    cycles: int = 200  #: sessions one after the other
    growth_mb: float = 32.0  #: how much the process may grow in these cycles
    timeout_s: float = 60.0  #: for one call
    known_failures: Mapping[str, str] = field(factory=dict)  #: laws that do not hold yet, with the reason


@frozen(kw_only=True)
class Law:
    """One law: its name, what it says, and how it is tried."""

    name: str
    says: str
    holds: Callable[[Subject], Awaitable[None]]


@frozen(kw_only=True)
class Outcome:
    """How one law came out: ``passed``, ``failed``, ``skipped``, ``known`` (fails as declared) or ``healed``.

    ``healed`` is a failure: the law was declared a known failure and holds now.
    """

    law: str
    status: str
    reason: str = ""


@frozen(kw_only=True)
class Report:
    """The outcomes of all laws."""

    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """Did no law fail, and no known failure heal?"""
        return not any(outcome.status in ("failed", "healed") for outcome in self.outcomes)

    def lines(self) -> list[str]:
        """One line a law."""
        return [f"{one.status:8} {one.law}{f': {one.reason}' if one.reason else ''}" for one in self.outcomes]


async def run_conformance(subject: Subject, *, only: Sequence[str] = ()) -> Report:
    """Try every law, or those named, one after the other.

    Raises:
        UnknownNameError: ``only``, or a known failure, names no law.
    """
    from agentflow_core.testing.laws import LAWS

    for name in (*only, *subject.known_failures):
        if name not in LAWS:
            raise unknown_name("law", name, LAWS)
    return Report(outcomes=tuple([await try_law(LAWS[name], subject) for name in only or LAWS]))


async def try_law(law: Law, subject: Subject) -> Outcome:
    """Try one law."""
    known = subject.known_failures.get(law.name)
    try:
        await law.holds(subject)
    except Missing as missing:
        return Outcome(law=law.name, status="skipped", reason=str(missing))
    except Exception as error:  # noqa: BLE001 - plugin boundary: whatever it raises breaks the law
        if known is not None:
            return Outcome(law=law.name, status="known", reason=known)
        said = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
        return Outcome(law=law.name, status="failed", reason=f"{law.says}; {said}")
    if known is not None:
        return Outcome(law=law.name, status="healed", reason=f"it holds now; take {law.name!r} out of known_failures")
    return Outcome(law=law.name, status="passed")


class BackendConformance:
    """A pytest class with one test for each law; a subclass says the ``subject`` and can change nothing else."""

    subject: ClassVar[Subject]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        from agentflow_core.testing.laws import LAWS

        for name, law in LAWS.items():
            if f"test_{name}" not in vars(BackendConformance):
                setattr(BackendConformance, f"test_{name}", _test_of(law))
            if getattr(cls, f"test_{name}") is not vars(BackendConformance)[f"test_{name}"]:
                raise UsageError(
                    f"{cls.__name__} overrides test_{name}: a law cannot be overridden",
                    hint="declare it in Subject(known_failures={law: reason})",
                )
        if "subject" not in vars(cls):
            raise UsageError(f"{cls.__name__} has no subject", hint="subject = Subject(backend=MyBackend, …)")
        for name in cls.subject.known_failures:
            if name not in LAWS:
                raise unknown_name("law", name, LAWS)


def _test_of(law: Law) -> Callable[[BackendConformance], None]:
    def test(self: BackendConformance) -> None:
        import pytest  # the laws run without it

        outcome = anyio.run(try_law, law, self.subject)
        if outcome.status == "skipped":
            pytest.skip(outcome.reason)
        if outcome.status == "known":
            pytest.xfail(outcome.reason)
        if outcome.status != "passed":
            pytest.fail(outcome.reason, pytrace=False)

    test.__name__ = f"test_{law.name}"
    test.__doc__ = law.says
    return test
