"""The codes of tool results: what each means for a retry and for the agent."""

from __future__ import annotations

from attrs import frozen

__all__ = ["CODES", "Code"]


@frozen
class Code:
    """One code: may the same call be retried, and what should the agent do next."""

    name: str
    retryable: bool
    advice: str


_ALL = (
    Code("ok", False, "go on"),
    Code("invalid_argument", False, "correct the named argument"),
    Code("unknown_tool", False, "choose one of the offered tools"),
    Code("not_found", False, "look what is there, then name that"),
    Code("conflict", False, "look at the present state first"),
    Code("unauthenticated", False, "the operator must provide a token"),
    Code("forbidden", False, "do something else; this is not allowed"),
    Code("session_expired", False, "a new session starts from the beginning"),
    Code("session_lost", False, "a new session starts from the beginning"),
    Code("not_ready", True, "wait, then try again"),
    Code("overloaded", True, "wait as long as the result says, then try again"),
    Code("quota_exceeded", False, "use less, or finish with what there is"),
    Code("timeout", False, "ask for less work at a time, or raise the timeout"),
    Code("idle_timeout", False, "a new session starts from the beginning"),
    Code("cancelled", False, "the caller gave the call up"),
    Code("memory_limit", False, "use less memory"),
    Code("pids_limit", False, "start fewer processes"),
    Code("disk_limit", False, "write less, or delete files first"),
    Code("output_limit", False, "print less, or write to a file and read parts of it"),
    Code("network_denied", False, "work without this address"),
    Code("policy_denied", False, "do something else; a policy forbids this"),
    Code("process_died", False, "look at its last output, then start it again"),
    Code("kernel_died", False, "variables are gone; run the needed code again"),
    Code("browser_crashed", True, "open the page again"),
    Code("stale_ref", False, "take a new snapshot and use its references"),
    Code("ambiguous_target", False, "name the target more exactly"),
    Code("blocked_by_dialog", False, "answer the dialog first"),
    Code("navigation_failed", True, "check the address, or try again"),
    Code("display_error", True, "try again; if it stays, the session is lost"),
    Code("upstream_error", True, "the service behind the tool failed; try again later"),
    Code("upstream_rate_limited", True, "the service asks for fewer calls; wait"),
    Code("unsupported", False, "do it another way; this is not available here"),
    Code("provider_unavailable", False, "the operator must install what the message names"),
    Code("internal", False, "a defect of the tool; do it another way"),
)

#: Every code by its name.
CODES: dict[str, Code] = {code.name: code for code in _ALL}
