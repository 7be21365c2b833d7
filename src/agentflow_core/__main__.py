"""``python -m agentflow_core`` is the ``agentflow`` command."""

from __future__ import annotations

import sys

from agentflow_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
