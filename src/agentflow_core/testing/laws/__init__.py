"""The laws that every backend keeps: plain async functions of a subject, which raise when one is broken.

The first line of its docstring is what a law says.
"""

from __future__ import annotations

from agentflow_core.testing.laws import calls, hostile, life, sessions, stopping
from agentflow_core.testing.subjects import Law

__all__ = ["LAWS"]

_FUNCTIONS = (
    life.warmup_and_cleanup_may_come_twice,
    life.failed_initialize_leaves_nothing,
    life.shutdown_with_live_sessions,
    life.cancelled_creation_leaves_nothing,
    life.sessions_come_and_go,
    sessions.sessions_share_nothing,
    sessions.fork_shares_nothing,
    sessions.replay_is_equal,
    calls.tools_tell_what_they_take,
    calls.wrong_arguments_name_the_field,
    calls.results_are_clean,
    calls.long_texts_are_artifacts,
    calls.a_call_id_is_answered_once,
    calls.a_retried_call_has_one_effect,
    stopping.timeouts_stop_the_work,
    stopping.cancelled_calls_stop_the_work,
    stopping.overload_answers_fast,
    stopping.closing_stops_the_work,
    hostile.hostile_calls_are_contained,
)

#: Every law by its name, in the order in which they are tried.
LAWS: dict[str, Law] = {
    holds.__name__: Law(name=holds.__name__, says=(holds.__doc__ or "").rstrip("."), holds=holds)
    for holds in _FUNCTIONS
}
