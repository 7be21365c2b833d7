"""The front door for people: demo, tests, lint, types, bench, build. Every session sets up what it needs."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "venv"

PLUGINS = sorted(str(path.parent) for path in Path("plugins").glob("*/pyproject.toml"))
WORKSPACE = [".", *PLUGINS]


def install(session: nox.Session, *groups: str, editable: bool = True) -> None:
    """Install every distribution of the workspace in one go, with the named dependency groups."""
    paths = [part for path in WORKSPACE for part in (("-e", path) if editable else (path,))]
    group_args = [part for group in groups for part in ("--group", group)]
    session.install("--upgrade", "pip>=25.1")  # the first that reads dependency groups
    session.install(*paths, *group_args)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the main job with the embedded defaults: no key, no network beyond the package index."""
    session.install(".", "plugins/agentflow-rag")
    session.run("agentflow", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run every test but the long proofs."""
    install(session, "test")
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    session.run("pytest", "-m", "not soak and not serial", "-n", "auto", "--durations", "20")
    session.run("pytest", "-m", "serial and not soak")


@nox.session
def image(session: nox.Session) -> None:
    """Build the Debian desktop that tests of agentflow-vm start, in $AGENTFLOW_VM_IMAGES, as root; once for a recipe."""
    session.install(".", "plugins/agentflow-vm")
    session.run("python", "-m", "agentflow_vm", "build-image", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run the long proofs."""
    install(session, "test")
    session.run("pytest", "-m", "soak", "--timeout", "3600", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install("--upgrade", "pip>=25.1")
    session.install("--group", "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    install(session, "lint", "test")
    session.run("mypy", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks, or those that are named; each prints ratios measured in one run."""
    install(session, "test")
    chosen = session.posargs or sorted(path.stem for path in Path("bench").glob("*.py") if path.stem[0] != "_")
    for name in chosen:
        session.run("python", f"bench/{name}.py")


@nox.session
def scaffold(session: nox.Session) -> None:
    """Begin a plugin of every kind, check its style and types, install it, run its tests, build its wheel."""
    session.install("--upgrade", "pip>=25.1")
    session.install(".", "--group", "lint")
    kinds = session.posargs or ["backend", "tool", "scorer", "selector", "gate", "metric", "model"]
    with TemporaryDirectory() as folder:
        for kind in kinds:
            session.run("agentflow", "plugins", "new", f"my-{kind}", "--kind", kind, "--dir", folder)
            with session.chdir(Path(folder) / f"agentflow-my-{kind}"):
                session.install("-e", ".", "pytest")
                session.run("ruff", "check", "--extend-select", "E,F,I", ".")
                session.run("ruff", "format", "--check", ".")
                session.run("mypy", "--strict", "src")
                session.run("python", "-m", "pytest")
                session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", ".")
        session.run("agentflow", "plugins", "check")


@nox.session
def build(session: nox.Session) -> None:
    """Build wheels and source distributions of the whole workspace into dist/."""
    session.install("build")
    for path in WORKSPACE:
        session.run("python", "-m", "build", "--outdir", os.path.abspath("dist"), path)
