"""Remember which values came from variables or are secret, and what a run directory may hold instead of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentflow_core.config.nodes import Node

__all__ = ["Origins", "is_secret_key"]

Where = tuple[str, ...]

_SECRET_WORDS: Final = frozenset(
    {"KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASS", "CREDENTIAL", "CREDENTIALS", "AUTH"}
)
#: Shorter values are left in messages: they would also be parts of words.
_REDACTED: Final = 4
_SECRET_KEY: Final = re.compile(
    r"(?i)(?:.*[-_ ])?(?:(?:api|access|secret|private)[-_ ]?key|token|secret|password|passwd|authorization|credentials?)"
)
_WHOLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-.*)?\}", re.DOTALL)


def is_secret_key(key: str) -> bool:
    """Whether a key of an untyped mapping names a secret, such as ``api_key`` or ``Authorization``."""
    return _SECRET_KEY.fullmatch(key) is not None


def _variable_for(key: str) -> str:
    """The variable that masks a secret that was written out: ``${API_KEY}``."""
    name = re.sub(r"[^A-Z0-9]+", "_", key.upper()).strip("_")
    return f"${{{name if name[:1].isalpha() else f'SECRET_{name}'}}}"


class Origins:
    """Where values came from, by their path."""

    def __init__(self) -> None:
        self._nodes: dict[Where, Node] = {}
        self._untyped: set[Where] = set()
        self._secret: set[Where] = set()
        self._secret_variables: set[str] = set()

    def note(self, path: Where, node: Node, *, secret: bool = False, untyped: bool = False) -> None:
        """Remember the node of a value that came from variables or is secret."""
        if not node.variables and not secret:
            return
        self._nodes[path] = node
        if secret:
            self._secret.add(path)
        if untyped:
            self._untyped.add(path)
        if secret:
            self._secret_variables.update(node.variables)

    def mask(self, path: Where) -> str:
        """What stands for a secret: the variable that it came from, else one named like its key."""
        node = self._nodes.get(path)
        if node is None or not node.variables:
            return _variable_for(next((key for key in reversed(path) if not key.isdecimal()), ""))
        if ":-" not in node.written:
            return node.written
        # The default of a secret may be a secret too.
        whole = _WHOLE.fullmatch(node.written)
        return f"${{{whole.group(1) if whole else node.variables[0]}}}"

    def kept(self, path: Where) -> str | None:
        """The text before expansion, where the expanded value may be secret; None where the value may be written.

        Without a type nobody says what is secret, so whatever came from a variable stays unexpanded. Elsewhere that
        holds for the variables that a secret field uses, and those that are named like secrets.
        """
        node = self._nodes.get(path)
        if node is None or not node.variables:
            return None
        if path in self._untyped or any(self._is_secret(name) for name in node.variables):
            return node.written
        return None

    def redact(self, message: str) -> str:
        """The message of somebody else without the values that came from variables or are secret."""
        for path, node in self._nodes.items():
            text = str(node.value)
            if len(text) >= _REDACTED and text in message:
                message = message.replace(text, self.mask(path) if path in self._secret else node.written)
        return message

    def _is_secret(self, variable: str) -> bool:
        return variable in self._secret_variables or not _SECRET_WORDS.isdisjoint(variable.upper().split("_"))
