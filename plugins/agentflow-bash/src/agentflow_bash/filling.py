"""Fill the workspace of a new session with configured files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.beneath import Beneath

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["put_files"]


def put_files(folder: Path, copied: Mapping[str, Path], written: Mapping[str, str]) -> None:
    """Copy files and folders of the host into a new workspace, and write texts there.

    Raises:
        SandboxError: ``not_found``: one is not there; ``invalid_argument``: a path that leads out.
    """
    if not copied and not written:
        return
    root = Beneath(folder, shown=str(folder), uid=None)
    try:
        for name, source in copied.items():
            target = folder / root.relative(name)
            if not target.resolve().is_relative_to(folder.resolve()):
                raise SandboxError(f"files: {name[:200]!r} leads out of the workspace", code="invalid_argument")
            if not source.exists():
                raise SandboxError(f"files: there is no {source}", code="not_found", hint="see the configuration")
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)
        for name, text in written.items():
            root.write(name, text.encode())
    except OSError as error:
        raise SandboxError(f"files: {error}", code="conflict") from error
    finally:
        root.close()
