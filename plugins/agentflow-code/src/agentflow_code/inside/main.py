"""Start an interpreter: the one of a session (``main.py --session``) or the zygote (``main.py --zygote FD MODULES``).

Run as a file, by whatever Python the configuration names: the package is found beside this file, and nothing else of
the place where it stands is.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys


def load_package() -> None:
    """Make ``agentflow_code`` importable, and nothing that stands beside it."""
    inside = os.path.dirname(os.path.abspath(__file__))
    folder = os.path.dirname(inside)
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != inside]
    spec = importlib.util.spec_from_file_location(
        "agentflow_code", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["agentflow_code"] = module
    spec.loader.exec_module(module)


def main(arguments: list[str]) -> None:
    """See the module."""
    load_package()
    if arguments[0] == "--zygote":
        from agentflow_code.inside import zygote

        zygote.run(int(arguments[1]), [name for name in arguments[2].split(",") if name])
        return
    from agentflow_code.inside import serving

    prepared = serving.prepare()
    serving.serve({"env": dict(os.environ), **json.loads(sys.stdin.readline())}, prepared)


if __name__ == "__main__":
    main(sys.argv[1:])
