"""Log for people or for programs: warnings as text, or everything as one JSON object a line."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import orjson

from agentflow_core.records import clean_json

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CALLS", "LogFormat", "logging_as"]

LogFormat = Literal["text", "json"]
#: One record a request, its fields in ``record.fields``; it is enabled only where the format is JSON.
CALLS = logging.getLogger("agentflow_core.server.calls")


class JsonFormatter(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; what breaks lines or terminals is escaped by JSON."""
        line: dict[str, Any] = {
            "time": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line).decode()
        except TypeError:  # lone surrogates, or what a plugin passed as a field
            return orjson.dumps(clean_json(line)).decode()


@contextmanager
def logging_as(form: LogFormat) -> Iterator[None]:
    """Log to stderr in the form, and to nothing else; what libraries say of each connection is left out."""
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    if form == "text":
        CALLS.setLevel(logging.CRITICAL)
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    before = list(root.handlers)
    root.handlers[:] = [handler]
    logging.getLogger("agentflow_core").setLevel(logging.INFO)
    CALLS.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = before
