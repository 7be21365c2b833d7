"""Decide whether a version satisfies a requirement: the part of PEP 440 and PEP 508 that plugins need of the core."""

from __future__ import annotations

import re
from itertools import zip_longest

from attrs import frozen

__all__ = ["Requirement", "canonical", "is_satisfied", "parse_requirement"]

_REQUIREMENT = re.compile(
    r"\s*(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(?P<rest>[^;]*?)\s*(?:;\s*(?P<marker>.*))?",
    re.S,
)
_CLAUSE = re.compile(r"(?P<operator>===|==|!=|<=|>=|~=|<|>)\s*(?P<version>[^\s,]+)")
_VERSION = re.compile(
    r"""v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)
    (?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_n>\d*))?
    (?:(?:[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_n>\d*))|-(?P<post_bare>\d+))?
    (?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_n>\d*))?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?""",
    re.X,
)
_PRE = {"alpha": 0, "a": 0, "beta": 1, "b": 1, "preview": 2, "pre": 2, "c": 2, "rc": 2}
_NONE, _LAST = (-1, 0), (9, 0)


@frozen(kw_only=True)
class Requirement:
    """One ``Requires-Dist`` line, without its extras."""

    name: str  #: canonical
    specifier: str  #: such as ``>=0.1,<0.2``; empty for any version and for a direct reference
    marker: str = ""


@frozen(kw_only=True)
class _Version:
    epoch: int
    release: tuple[int, ...]  #: without trailing zeros
    pre: tuple[int, int] | None
    post: int | None
    dev: int | None
    local: str

    @property
    def key(self) -> tuple[object, ...]:
        """Orders versions, without the local part: dev before pre before the release before post."""
        final = _NONE if self.post is None and self.dev is not None else _LAST
        pre = final if self.pre is None else self.pre
        dev = (0, self.dev) if self.dev is not None else (1, 0)
        return (self.epoch, self.release, pre, -1 if self.post is None else self.post, dev)

    @property
    def is_pre(self) -> bool:
        return self.pre is not None or self.dev is not None


def canonical(name: str) -> str:
    """The form under which a distribution's name is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_requirement(text: str) -> Requirement | None:
    """The requirement that a ``Requires-Dist`` line states, or None if it cannot be read."""
    found = _REQUIREMENT.fullmatch(text)
    if found is None:
        return None
    rest = found["rest"].strip()
    if rest.startswith("("):
        rest = rest.strip("()")
    if rest.startswith("@"):
        rest = ""
    return Requirement(name=canonical(found["name"]), specifier=rest, marker=(found["marker"] or "").strip())


def is_satisfied(specifier: str, version: str) -> bool | None:
    """Whether ``version`` is one that ``specifier`` admits (pre-releases too); None if either cannot be read."""
    have = _parse(version)
    clauses = [clause for clause in (part.strip() for part in specifier.split(",")) if clause]
    verdicts = [_admits(clause, have, version) for clause in clauses]
    if have is None or None in verdicts:
        return None
    return all(verdicts)


def _admits(clause: str, have: _Version | None, version: str) -> bool | None:
    found = _CLAUSE.fullmatch(clause)
    if found is None or have is None:
        return None
    operator, wanted = found["operator"], found["version"]
    if operator == "===":
        return version.lower() == wanted.lower()
    prefix = wanted.endswith(".*")
    want = _parse(wanted.removesuffix(".*"))
    if want is None or (prefix and operator not in ("==", "!=")):
        return None
    if operator in ("==", "!="):
        equal = _starts_with(have, wanted.removesuffix(".*")) if prefix else _is_equal(have, want)
        return equal if operator == "==" else not equal
    if operator == "~=":
        head, dot, _ = _release_text(wanted).rpartition(".")
        return have.key >= want.key and _starts_with(have, f"{want.epoch}!{head}") if dot else None
    if operator == ">=":
        return have.key >= want.key
    if operator == "<=":
        return have.key <= want.key
    same = (have.epoch, have.release) == (want.epoch, want.release)
    if operator == "<":  # <1.0 leaves 1.0rc1 out
        early = want.post is None or (have.pre is None and have.post == want.post)
        return have.key < want.key and not (same and have.is_pre and not want.is_pre and early)
    late = have.post is not None and want.post is None and want.dev is None and have.pre == want.pre
    return have.key > want.key and not (same and late)  # >1.0 leaves 1.0.post1 out


def _parse(text: str) -> _Version | None:
    found = _VERSION.fullmatch(text.strip().lower())
    if found is None:
        return None
    release = [int(part) for part in found["release"].split(".")]
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    post = found["post_n"] if found["post"] else found["post_bare"]
    return _Version(
        epoch=int(found["epoch"] or 0),
        release=tuple(release),
        pre=(_PRE[found["pre"]], int(found["pre_n"] or 0)) if found["pre"] else None,
        post=int(post or 0) if post is not None else None,
        dev=int(found["dev_n"] or 0) if found["dev"] else None,
        local=re.sub(r"[-_.]", ".", found["local"] or ""),
    )


def _release_text(text: str) -> str:
    found = _VERSION.fullmatch(text.strip().lower())
    return found["release"] if found else ""


def _starts_with(have: _Version, prefix: str) -> bool:
    """Whether the release of ``have``, padded with zeros, starts with that of ``prefix`` (zeros count)."""
    want = _parse(prefix)
    if want is None or have.epoch != want.epoch:
        return False
    parts = [int(part) for part in _release_text(prefix).split(".")]
    return all(a == b for a, b in list(zip_longest(have.release, parts, fillvalue=0))[: len(parts)])


def _is_equal(have: _Version, want: _Version) -> bool:
    return have.key == want.key and (not want.local or have.local == want.local)
