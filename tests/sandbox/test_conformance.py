"""The laws catch backends that break them, and cannot be got around."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import anyio
import pytest
from attrs import evolve

from agentflow_core.errors import UnknownNameError, UsageError
from agentflow_core.records import ToolResult
from agentflow_core.sandbox import Backend, Session, tool
from agentflow_core.sandbox.calls import Call, CallLog
from agentflow_core.sandbox.launchers import LauncherConfig
from agentflow_core.testing.backends import COUNTER, GLOSSARY, PAGES, Counter, CounterBackend, PagesBackend
from agentflow_core.testing.conformance import BackendConformance, Canary, Subject, run_conformance
from agentflow_core.testing.laws import LAWS

COUNTER = evolve(COUNTER, parallel=3, cycles=10)


class SharedState(CounterBackend):
    """All sessions have one counter."""

    def __init__(self) -> None:
        self.counter = Counter()

    async def initialize(self, session: Session) -> Counter:
        await super().initialize(session)
        return self.counter


class ShallowFork(CounterBackend):
    async def fork(self, state: Counter, session: Session) -> Counter:
        return Counter(total=state.total, labels=state.labels)


class EmptyFork(CounterBackend):
    async def fork(self, state: Counter, session: Session) -> Counter:
        return Counter()


class RaisingCleanup(CounterBackend):
    async def cleanup(self, state: Counter) -> None:
        raise OSError("cannot unmount")


class CleanupOnlyOnce(CounterBackend):
    async def cleanup(self, state: Counter) -> None:
        del state.labels


class ForgetsDescriptors(CounterBackend):
    async def initialize(self, session: Session) -> Counter:
        kept.append(open("/dev/null"))  # noqa: ASYNC230, SIM115
        return await super().initialize(session)


class ForgetsThreads(CounterBackend):
    async def initialize(self, session: Session) -> Counter:
        threading.Thread(target=until.wait, args=(30,), daemon=True).start()
        return await super().initialize(session)


class LeaksWhenItFails(CounterBackend):
    async def initialize(self, session: Session) -> Counter:
        file = open("/dev/null")  # noqa: ASYNC230, SIM115
        kept.append(file)
        state = await super().initialize(session)
        file.close()
        return state


class LeaksWhenCancelled(CounterBackend):
    async def initialize(self, session: Session) -> Counter:
        file = open("/dev/null")  # noqa: ASYNC230, SIM115
        kept.append(file)
        await anyio.sleep(0.001)
        file.close()
        return await super().initialize(session)


class LeavesProcesses(CounterBackend):
    @tool
    async def wait(self, state: Counter, seconds: float) -> None:
        """Sleep in a process.

        Args:
            seconds: how long.
        """
        process = subprocess.Popen(["sleep", str(seconds)])  # noqa: ASYNC220
        kept.append(process)
        with anyio.CancelScope(shield=seconds == 0):
            await anyio.sleep(seconds)
            process.wait()


class Prints(CounterBackend):
    @tool
    async def add(self, state: Counter, amount: int = 1) -> int:
        """Add.

        Args:
            amount: how much.
        """
        print("adding")
        state.total += amount
        return state.total


class PrintsBelowPython(CounterBackend):
    async def warmup(self) -> None:
        subprocess.run([sys.executable, "-c", "print('warm')"], check=True)  # noqa: ASYNC221


class Crashes(CounterBackend):
    @tool
    async def label(self, state: Counter, text: str) -> int:
        """Write a label.

        Args:
            text: what it says.
        """
        state.labels.append(text)
        return ord(text)


class SwallowsCancellation(CounterBackend):
    @tool
    async def wait(self, state: Counter, seconds: float) -> str:
        """Wait.

        Args:
            seconds: how long.
        """
        try:
            await anyio.sleep(seconds)
        except anyio.get_cancelled_exc_class():
            return "interrupted"
        return "waited"


class Random(CounterBackend):
    count = 0

    @tool(read_only=True)
    async def look(self, state: Counter, repeat: int = 1) -> str:
        """Read the total.

        Args:
            repeat: how many times.
        """
        Random.count += 1
        return "\n".join([f"look {Random.count}", *state.labels] * repeat)


class WarmsTwice(CounterBackend):
    warm = False

    async def warmup(self) -> None:
        if self.warm:
            raise RuntimeError("the port is taken")
        self.warm = True


class NoDescription(CounterBackend):
    @tool
    async def add(self, state: Counter, amount: int = 1) -> ToolResult:
        """Add."""
        return ToolResult.success({"total": amount})


class LosesItsState(PagesBackend):
    @tool(read_only=True)
    async def read(self, state: Any, repeat: int = 1) -> str:
        """Read.

        Args:
            repeat: how many times.
        """
        return "nothing"


class Attacked(CounterBackend):
    """A backend with a call that does harm; the others say what."""

    @tool
    async def attack(self, state: Counter) -> str:
        """Do harm."""
        await self.harm(state)
        return "done"

    async def harm(self, state: Counter) -> None:
        """None."""


class DiesOfAttacks(Attacked):
    async def harm(self, state: Counter) -> None:
        raise ZeroDivisionError("the attack")


class StandsStill(Attacked):
    async def harm(self, state: Counter) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)


class HarmsOthers(Attacked):
    is_harmed = False

    async def harm(self, state: Counter) -> None:
        self.is_harmed = True
        await anyio.sleep(0.05)

    @tool
    async def add(self, state: Counter, amount: int = 1) -> ToolResult:
        """Add.

        Args:
            amount: how much.
        """
        return ToolResult.failure("conflict", "no room") if self.is_harmed else ToolResult.success({})


class LeavesChildren(Attacked):
    async def harm(self, state: Counter) -> None:
        kept.append(subprocess.Popen(["sleep", "60"]))  # noqa: ASYNC220


class NeitherOfUseNorLost(Attacked):
    async def harm(self, state: Counter) -> None:
        state.total = -1

    @tool
    async def add(self, state: Counter, amount: int = 1) -> ToolResult:
        """Add.

        Args:
            amount: how much.
        """
        return ToolResult.failure("conflict", "?") if state.total < 0 else ToolResult.success({})


kept: list[Any] = []
until = threading.Event()


@pytest.fixture(autouse=True)
def _nothing_is_kept():
    yield
    for one in kept:
        if isinstance(one, subprocess.Popen):
            one.kill()
            one.wait()
        else:
            one.close()
    kept.clear()
    until.set()
    until.clear()


@pytest.mark.parametrize(
    ("mutant", "law", "says"),
    [
        (SharedState, "sessions_share_nothing", "which another session planted"),
        (ShallowFork, "fork_shares_nothing", "see what the other did"),
        (EmptyFork, "fork_shares_nothing", "does not have what its parent had"),
        (RaisingCleanup, "shutdown_with_live_sessions", "OSError: cannot unmount"),
        (CleanupOnlyOnce, "warmup_and_cleanup_may_come_twice", "AttributeError"),
        (ForgetsDescriptors, "sessions_come_and_go", "10 more descriptors"),
        (ForgetsDescriptors, "shutdown_with_live_sessions", "3 more descriptors"),
        (ForgetsThreads, "sessions_come_and_go", "more threads"),
        (LeaksWhenItFails, "failed_initialize_leaves_nothing", "3 more descriptors"),
        (LeaksWhenCancelled, "cancelled_creation_leaves_nothing", "more descriptors"),
        (LeavesProcesses, "timeouts_stop_the_work", "1 more children"),
        (LeavesProcesses, "cancelled_calls_stop_the_work", "1 more children"),
        (Prints, "results_are_clean", "on stdout: 'adding"),
        (PrintsBelowPython, "results_are_clean", "on stdout: 'warm"),
        (Crashes, "wrong_arguments_name_the_field", "is answered internal: TypeError"),
        (SwallowsCancellation, "timeouts_stop_the_work", "is answered ok"),
        (SwallowsCancellation, "cancelled_calls_stop_the_work", "swallowed its cancellation"),
        (Random, "replay_is_equal", "'look 1"),
        (WarmsTwice, "warmup_and_cleanup_may_come_twice", "the port is taken"),
        (NoDescription, "tools_tell_what_they_take", "'amount' has no description"),
    ],
)
async def test_a_law_catches_what_breaks_it(monkeypatch, mutant: Any, law: str, says: str):
    monkeypatch.setattr("agentflow_core.testing.laws.trials.SETTLE_S", 0.3)
    Random.count = 0
    report = await run_conformance(evolve(COUNTER, backend=mutant), only=[law])
    (outcome,) = report.outcomes
    assert outcome.status == "failed"
    assert says in outcome.reason
    assert not report.ok


@pytest.mark.parametrize(
    ("mutant", "says"),
    [
        (DiesOfAttacks, "bomb: it is answered internal: ZeroDivisionError"),
        (StandsStill, "bomb: it was not answered within 1."),
        (HarmsOthers, "bomb: another session was harmed meanwhile: the call add {'amount': 2} failed"),
        (LeavesChildren, "bomb: left behind: 1 more children"),
        (NeitherOfUseNorLost, "its calls are answered conflict, conflict, conflict"),
    ],
)
async def test_the_law_on_hostile_calls_catches_what_breaks_it(monkeypatch, mutant: Any, says: str):
    monkeypatch.setattr("agentflow_core.testing.laws.trials.PROMPT_S", 0.3)
    monkeypatch.setattr("agentflow_core.testing.laws.trials.SETTLE_S", 0.3)
    monkeypatch.setattr("agentflow_core.testing.laws.hostile._ATTACK_S", 0.2)
    law = "hostile_calls_are_contained"
    subject = evolve(COUNTER, backend=mutant, hostile={"bomb": ("attack", {})})
    assert says in (await run_conformance(subject, only=[law])).outcomes[0].reason
    unharmed = await run_conformance(evolve(subject, backend=Attacked), only=[law])
    assert unharmed.ok


async def test_hostile_calls_are_never_made_where_nothing_holds_them():
    subject = evolve(COUNTER, backend=DiesOfAttacks, hostile={"bomb": ("attack", {})})
    report = await run_conformance(
        evolve(subject, launcher=LauncherConfig(kind="none")), only=["hostile_calls_are_contained"]
    )
    assert report.lines() == [
        "skipped  hostile_calls_are_contained: never tried under the launcher 'none', which holds nothing"
    ]


async def test_a_retry_that_runs_again_is_seen_by_its_effect(monkeypatch):
    async def forgetful(self: Any, key: Any, fingerprint: str, run: Any) -> Any:
        return await run(Call())

    law = ["a_retried_call_has_one_effect"]
    assert (await run_conformance(COUNTER, only=law)).outcomes[0].status == "passed"
    monkeypatch.setattr(CallLog, "once", forgetful)
    report = await run_conformance(COUNTER, only=law)
    assert "labels: planted once and retried twice, it is there 3 times" in report.outcomes[0].reason


async def test_a_canary_that_is_there_once_or_not_proves_nothing_about_retries():
    total = Canary(plant=lambda text: (("add", {}),), look=(("look", {}),))
    report = await run_conformance(evolve(COUNTER, canaries={"total": total}), only=["a_retried_call_has_one_effect"])
    assert report.lines() == ["skipped  a_retried_call_has_one_effect: no canary shows twice what was planted twice"]


async def test_each_kind_of_canary_is_looked_at_and_named():
    class Labels(SharedState):
        async def initialize(self, session: Session) -> Counter:
            return Counter(labels=self.counter.labels)

    quiet = Canary(plant=lambda text: (("label", {"text": text}),), look=(("look", {}),))
    report = await run_conformance(
        evolve(COUNTER, backend=Labels, canaries={"labels": quiet}), only=["sessions_share_nothing"]
    )
    assert "labels: law-0 sees canary-labels-0001" in report.outcomes[0].reason


async def test_what_a_fork_should_not_have_is_looked_for():
    alone = Canary(plant=lambda text: (("label", {"text": text}),), look=(("look", {}),), is_forked=False)
    report = await run_conformance(
        evolve(COUNTER, canaries={**COUNTER.canaries, "ports": alone}), only=["fork_shares_nothing"]
    )
    assert "ports: the fork has what its parent alone should" in report.outcomes[0].reason


async def test_a_look_that_shows_nothing_proves_nothing():
    report = await run_conformance(evolve(PAGES, backend=LosesItsState, parallel=2), only=["sessions_share_nothing"])
    assert "does not show what was planted in its own session" in report.outcomes[0].reason


async def test_the_laws_run_without_pytest_and_say_what_they_skipped():
    report = await run_conformance(evolve(GLOSSARY, slow=None))
    statuses = {outcome.law: outcome.status for outcome in report.outcomes}
    assert list(statuses) == list(LAWS)
    assert set(statuses.values()) == {"passed", "skipped"}
    assert report.ok
    assert "skipped  sessions_share_nothing: the backend is shared: its sessions mean nothing" in report.lines()
    assert "skipped  timeouts_stop_the_work: the subject says no slow" in report.lines()


async def test_a_known_failure_is_no_failure_until_it_heals():
    known = {"fork_shares_nothing": "labels are shared"}
    report = await run_conformance(evolve(COUNTER, backend=ShallowFork, known_failures=known), only=list(known))
    assert [(outcome.status, outcome.reason) for outcome in report.outcomes] == [("known", "labels are shared")]
    assert report.ok
    healed = await run_conformance(evolve(COUNTER, known_failures=known), only=list(known))
    assert healed.outcomes[0].status == "healed"
    assert not healed.ok


async def test_a_known_failure_of_no_law_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'fork_shares_nothing'"):
        await run_conformance(evolve(COUNTER, known_failures={"fork_shares_nothin": "?"}))


def test_a_law_cannot_be_overridden():
    with pytest.raises(UsageError, match="test_fork_shares_nothing: a law cannot be overridden"):

        class Lenient(BackendConformance):
            subject = COUNTER

            def test_fork_shares_nothing(self) -> None: ...

    class Mixin:
        def test_replay_is_equal(self) -> None: ...

    with pytest.raises(UsageError, match="test_replay_is_equal"):

        class Mixed(Mixin, BackendConformance):
            subject = COUNTER

    with pytest.raises(UsageError, match="has no subject"):

        class Empty(BackendConformance):
            pass


def test_pytest_shows_each_law_as_one_test(tmp_path):
    (tmp_path / "test_counter.py").write_text(
        "from attrs import evolve\n"
        "from agentflow_core.testing.backends import COUNTER, CounterBackend, Counter\n"
        "from agentflow_core.testing.conformance import BackendConformance\n"
        "class Shallow(CounterBackend):\n"
        "    async def fork(self, state, session):\n"
        "        return state\n"
        "class TestGood(BackendConformance):\n"
        "    subject = evolve(COUNTER, cycles=5, parallel=2, slow=None)\n"
        "class TestKnown(BackendConformance):\n"
        "    subject = evolve(COUNTER, backend=Shallow, cycles=5, parallel=2, known_failures={'fork_shares_nothing': 'soon'})\n"
        "class TestHealed(BackendConformance):\n"
        "    subject = evolve(COUNTER, cycles=5, parallel=2, known_failures={'replay_is_equal': 'soon'})\n"
    )
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-rsxf",
            str(tmp_path),
            "--rootdir",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed" in ran.stdout
    assert "1 xfailed" in ran.stdout
    assert "it holds now; take 'replay_is_equal' out of known_failures" in ran.stdout
    assert "the subject says no slow" in ran.stdout


def test_pytest_is_not_needed_to_import_the_laws():
    code = "import sys, agentflow_core.testing.backends, agentflow_core.testing.laws; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_subject_of_a_factory_is_made_anew_for_each_law():
    made = []

    def make() -> Backend:
        made.append(CounterBackend())
        return made[-1]

    report = anyio.run(lambda: run_conformance(Subject(backend=make), only=["tools_tell_what_they_take"]))
    assert report.ok
