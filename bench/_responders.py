"""What the mock server answers in benchmarks; it runs there in a process of its own."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def three_turns(body: dict[str, Any]) -> dict[str, Any] | str:
    """Three turns with a tool call each, then the answer."""
    turn = sum(message["role"] == "tool" for message in body["messages"])
    if turn == 3:
        return "<answer>42</answer>"
    return {"tool_calls": [{"name": "bench_echo", "arguments": {"text": f"turn {turn}"}, "id": f"call_{turn}"}]}


def proposals(body: dict[str, Any]) -> str:
    """Three actions that are new to every prompt, of the tool that the model's name ends in; or no drafts."""
    prompt = body["messages"][-1]["content"]
    if "question-answer pairs" in prompt:
        return json.dumps({"drafts": []})
    key = hashlib.sha256(prompt.encode()).hexdigest()[:12]
    tool = body["model"].partition("-")[2] or "bench_echo"
    actions = [{"intent": "look", "tool": tool, "params": {"text": f"{key} {n}"}} for n in range(3)]
    return json.dumps({"actions": actions})
