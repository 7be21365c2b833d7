"""Find the characters of a text in its bytes. Leans on nothing of AgentFlow: it also runs where texts are taken out."""

from __future__ import annotations

import codecs
import re

__all__ = ["decoded"]

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w:.-]{1,40})", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
#: What browsers read where a page names one of these (WHATWG Encoding Standard).
_READ_AS = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "latin1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252"}
_LOOKED_AT = 4096
_GUESSED_FROM = 65536


def decoded(data: bytes, charset: str | None, *, is_cut: bool = False) -> str:
    """The characters of a text: by its byte order mark, what the server says, what the page says, UTF-8, or a guess.

    What is said is believed only where all bytes are characters in it.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data.decode(name, "replace")
    said = _META_CHARSET.search(data[:_LOOKED_AT])
    named = [charset, said[1].decode("ascii", "replace") if said else None, "utf-8"]
    for name in dict.fromkeys(filter(None, map(_known, filter(None, named)))):
        try:
            return codecs.getincrementaldecoder(name)().decode(data, final=not is_cut)
        except UnicodeDecodeError:
            continue
    return _guessed(data)


def _known(name: str) -> str | None:
    plain = name.strip().strip("\"'").lower()
    try:
        info = codecs.lookup(_READ_AS.get(plain, plain))
    except (LookupError, ValueError):
        return None
    # only text encodings: base64 and the like are codecs too
    return info.name if info._is_text_encoding else None


def _guessed(data: bytes) -> str:
    from charset_normalizer import from_bytes  # 30 ms, and rarely needed

    best = from_bytes(data[:_GUESSED_FROM]).best()
    return data.decode(best.encoding if best is not None else "cp1252", "replace")
