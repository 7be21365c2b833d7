"""Records to JSON and back: stable key order, unknown fields kept, one converter."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import attrs
import orjson
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from agentflow_core.records.base import Record
from agentflow_core.records.chat import from_chat, to_chat
from agentflow_core.records.messages import Message
from agentflow_core.records.results import Content, ImageContent, ResourceContent, TextContent, clean_json

__all__ = ["dump", "dumps", "load", "loads"]

T = TypeVar("T")
_CONTENTS: dict[str, type] = {"text": TextContent, "image": ImageContent, "resource": ResourceContent}


@cache
def converter() -> Converter:
    """The converter of all records; built once, since generating its functions takes milliseconds."""
    made = Converter(forbid_extra_keys=False, detailed_validation=True)
    made.register_structure_hook(bytes, lambda value, _: value if isinstance(value, bytes) else bytes.fromhex(value))
    made.register_unstructure_hook(bytes, bytes.hex)
    made.register_structure_hook(Content, lambda value, _: made.structure(value, _CONTENTS[value["type"]]))
    made.register_structure_hook_func(lambda cls: cls == Mapping[str, Any], lambda value, _: dict(value))
    made.register_structure_hook_factory(_is_record, lambda cls: _structure_record(made, cls))
    made.register_unstructure_hook_factory(_is_record, lambda cls: _unstructure_record(made, cls))
    made.register_structure_hook(Message, lambda value, _: from_chat(value))
    made.register_unstructure_hook(Message, to_chat)
    return made


def _is_record(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Record)


def _structure_record(made: Converter, cls: type[Any]) -> Callable[[Mapping[str, Any], Any], Any]:
    names = {field.name for field in attrs.fields(cls)} - {"unknown"}
    inner: Callable[[Mapping[str, Any], Any], Any] = make_dict_structure_fn(cls, made, unknown=override(omit=True))

    def structure(value: Mapping[str, Any], _: Any) -> Any:
        record = inner(value, cls)
        if value.keys() <= names:
            return record
        return attrs.evolve(record, unknown={key: item for key, item in value.items() if key not in names})

    return structure


def _unstructure_record(made: Converter, cls: type[Any]) -> Callable[[Any], dict[str, Any]]:
    sparse: dict[str, Any] = {
        item.name: override(omit_if_default=True) for item in attrs.fields(cls) if item.metadata.get("sparse")
    }
    inner: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(cls, made, unknown=override(omit=True), **sparse)

    def unstructure(record: Any) -> dict[str, Any]:
        value = inner(record)
        if record.unknown:
            value.update(record.unknown)
        return value

    return unstructure


def dump(record: Any) -> Any:
    """The record as JSON-ready dicts, keys in the order of its fields, unknown ones last."""
    return converter().unstructure(record)


def load(cls: type[T], value: Any) -> T:
    """The record that ``value`` describes. Raises what cattrs raises; readers of files add file and line."""
    return converter().structure(value, cls)


def dumps(record: Any) -> bytes:
    """One line of JSON in UTF-8, with its newline. What JSON cannot hold for every reader becomes what `clean_json` says."""
    value = dump(record)
    try:
        return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # lone surrogates, integers over 64 bits
        return json.dumps(clean_json(value), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def loads(cls: type[T], line: bytes | str) -> T:
    """The record of one line of JSON."""
    return load(cls, orjson.loads(line))
