"""How dates are written in English prose, as patterns to build larger ones from; `agentflow_core.text.dates` reads them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["DATE", "DATE_OR_YEAR", "MONTH"]

#: The months, to stand within a group.
MONTH: Final = "January|February|March|April|May|June|July|August|September|October|November|December"
#: A day: ``5 January 2010``, ``January 5, 2010``.
DATE: Final = rf"(?:\d{{1,2}} (?:{MONTH}),? \d{{4}}|(?:{MONTH}) \d{{1,2}}, \d{{4}})"
#: A day, a month of a year, or a year.
DATE_OR_YEAR: Final = re.compile(rf"\b(?:\d{{1,2}} )?(?:{MONTH})(?: \d{{1,2}},)? \d{{4}}\b|\b[12]\d{{3}}\b")
