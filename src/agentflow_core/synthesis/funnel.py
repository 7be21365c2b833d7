"""What the stages of a synthesis depend on, and what its summary says of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from agentflow_core.gates.run import unjudged
from agentflow_core.records import Usage
from agentflow_core.records.codec import dump

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.prompts import Prompts
    from agentflow_core.synthesis.branching import Branching
    from agentflow_core.synthesis.config import SynthesisConfig
    from agentflow_core.synthesis.judging import Admission, Gates

__all__ = ["stages_of", "summary_of"]

_ROLES = ("explorer", "synthesizer", "solver", "judge")
#: The steps of the funnel, as the summary has them, up to the gates.
_STEPS = (
    "seeds",
    "seeds_sampled",
    "seeds_failed",
    "nodes",
    "repeats",
    "stale",
    "errors",
    "recovered",
    "proposals_failed",
    "paths",
    "selected",
    "drafting_failed",
    "drafts",
)
#: Steps that most runs have not, which the funnel has only where there is something to count.
_RARE_STEPS = ("rewritten", "rewriting_failed", "beyond_target")


def stages_of(
    identity: Mapping[str, Any], config: SynthesisConfig, gates: Gates, prompts: Prompts
) -> Mapping[str, Mapping[str, Any]]:
    """What each stage depends on: changing anything else leaves its units as they are."""
    model = {role: identity["roles"].get(role, identity["model"]) for role in _ROLES}
    names = ["synthesis.draft", *gates.prompts, *(["synthesis.obfuscate"] if config.qa.obfuscate else ())]
    qa: dict[str, Any] = {
        "model": model["synthesizer"],
        "sandbox": identity["sandbox"],
        "qa": identity["qa"],
        "prompts": prompts.versions(names),
    }
    if gates.ask_models:
        qa["gate_models"] = {"solver": model["solver"], "judge": model["judge"], "tools": identity["tools"]}
    if gates.identity:
        qa["gates"] = gates.identity
    return {
        "sample": {
            "model": model["explorer"],
            "sandbox": identity["sandbox"],
            "tools": identity["tools"],
            "sampling": identity["sampling"],
            "prompts": prompts.versions(["synthesis.propose"]),
        },
        "select": {"selection": identity["selection"], "random_seed": identity["random_seed"]},
        "qa": qa,
    }


def summary_of(
    status: str,
    *,
    funnel: Mapping[str, int],
    branching: Branching,
    usage: Mapping[str, Usage],
    admission: Admission,
    target: int | None,
    warning: str,
    versions: Mapping[str, str],
) -> Mapping[str, Any]:
    """``summary.json``.

    ``accepted`` and ``rejected`` count the lines of ``qa.jsonl`` and ``rejected.jsonl``, obfuscated versions included;
    ``rewritten`` says how many of the drafts are such versions. Drafts that could not be judged stand in
    ``rejected.jsonl`` too, and are counted apart. Drafts = accepted + rejected + not judged + beyond the target.
    """
    by_gate = Counter(draft.gates[-1].name for draft in admission.rejected if not unjudged(draft))
    not_judged = Counter(draft.gates[-1].name for draft in admission.rejected if unjudged(draft))
    accepted = len(admission.accepted)
    total = sum(usage.values(), Usage())
    counts = {"seeds": funnel["seeds"], "accepted": accepted, "rejected": len(admission.rejected)}
    return {
        "kind": "synthesis",
        "status": status,
        **({"warnings": [warning]} if warning else {}),
        "counts": counts if target is None else {**counts, "target": target},
        "funnel": {
            **{step: funnel[step] for step in _STEPS},
            **branching.figures(),
            **{step: funnel[step] for step in _RARE_STEPS if funnel[step]},
            "rejected": dict(sorted(by_gate.items())),
            **({"not_judged": dict(sorted(not_judged.items()))} if not_judged else {}),
            "accepted": accepted,
        },
        "metrics": {},
        "usage": {
            "by_role": {role: dump(used) for role, used in usage.items()},
            "cost_usd": total.cost_usd,
            "cost_per_accepted": total.cost_usd / accepted if total.cost_usd is not None and accepted else None,
        },
        "versions": versions,
    }
