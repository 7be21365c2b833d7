"""Install wheels into the session's workspace with pip, beside what the interpreter has and never instead of it."""

from __future__ import annotations

import glob
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Final

from agentflow_code.inside.calls import Refused

__all__ = ["install"]

SAID_CHARS: Final = 2000


def install(payload: Any) -> dict[str, Any]:
    """Resolve what is wanted, see that all of it is allowed, install it into ``target``.

    ``payload``: ``wanted`` requirements, ``allowed`` names in their canonical form or None for all, ``source`` options of
    pip, ``target`` folder.
    """
    report = _pip("--dry-run", "--quiet", "--report", "-", *payload["source"], *payload["wanted"])
    try:
        found = json.loads(report)["install"]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("internal", f"pip's report cannot be read: {error}") from None
    resolved = {_canonical(each["metadata"]["name"]): str(each["metadata"]["version"]) for each in found}
    allowed = payload["allowed"]
    if allowed is not None and (refused := sorted(set(resolved) - set(allowed))):
        raise Refused(
            "policy_denied",
            f"{', '.join(refused)} would be installed too, which is not allowed",
            hint=f"allowed are: {', '.join(sorted(allowed)) or 'none'}",
        )
    if changed := sorted(name for name in resolved if _installed(name)):
        raise Refused(
            "conflict",
            f"{', '.join(changed)} is part of the interpreter, in another version, and cannot be changed",
            hint="ask for no version, or work with the one that is there",
        )
    if resolved:
        pinned = [f"{name}=={version}" for name, version in sorted(resolved.items())]
        _pip("--quiet", "--no-deps", "--target", payload["target"], *payload["source"], *pinned)
    if payload["target"] not in sys.path:
        sys.path.append(payload["target"])
    importlib.invalidate_caches()
    return {"installed": resolved}


def activate(payload: Any) -> None:
    """Let the interpreter find what has been installed into ``target`` before."""
    if payload["target"] not in sys.path:
        sys.path.append(payload["target"])


def _canonical(name: str) -> str:
    return "-".join(part for part in name.lower().replace("_", "-").replace(".", "-").split("-") if part)


def _installed(name: str) -> bool:
    from importlib import metadata

    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _pip(*arguments: str) -> str:
    command = [sys.executable, "-s", *_way(), "install", "--only-binary", ":all:", "--disable-pip-version-check"]
    options = ["--no-input", "--no-cache-dir", "--no-warn-script-location", "--no-color", "--progress-bar", "off"]
    env = {**os.environ, "TMPDIR": tempfile.gettempdir(), "PIP_CONFIG_FILE": os.devnull}
    ran = subprocess.run(
        [*command, *options, *arguments], stdin=subprocess.DEVNULL, capture_output=True, env=env, check=False
    )
    if ran.returncode != 0:
        said = ran.stderr.decode(errors="replace").strip()
        raise Refused("not_found", f"pip could not install it: {said[-SAID_CHARS:]}")
    return ran.stdout.decode(errors="replace")


def _way() -> list[str]:
    """How pip is run: the installed one, or the one that Python brings."""
    if importlib.util.find_spec("pip") is not None:
        return ["-m", "pip"]
    import ensurepip

    bundled = glob.glob(os.path.join(os.path.dirname(ensurepip.__file__), "_bundled", "pip-*.whl"))
    if not bundled:
        raise Refused("provider_unavailable", "the interpreter has no pip", hint="python -m ensurepip")
    return [os.path.join(bundled[0], "pip")]
