"""Hold a backend to the laws of the sandbox, with pytest or without.

In a test module, one class is enough; each law is one test::

    class TestCounter(BackendConformance):
        subject = Subject(backend=CounterBackend, calls=[("add", {"amount": 2})])

Without pytest: ``report = await run_conformance(subject)``; ``report.ok``, ``report.lines()``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import anyio
from attrs import frozen

from agentflow_core.errors import UsageError
from agentflow_core.names import unknown_name
from agentflow_core.testing.laws import LAWS
from agentflow_core.testing.subjects import Broken, Canary, Law, Missing, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "BackendConformance",
    "Broken",
    "Canary",
    "Law",
    "Missing",
    "Outcome",
    "Report",
    "Subject",
    "run_conformance",
]


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
        for name in LAWS:
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


for _law in LAWS.values():
    setattr(BackendConformance, f"test_{_law.name}", _test_of(_law))
