"""What is done to text alone: words, numbers, names, canonical keys, signatures, quotes, what a text states. Import from here."""

from __future__ import annotations

from agentflow_core.text.answers import answer_tokens, normalize_answer
from agentflow_core.text.dates import Date, dates
from agentflow_core.text.keys import (
    action_key,
    canonical_params,
    canonical_text,
    canonical_url,
    normalize_quotes,
    param_texts,
)
from agentflow_core.text.mentions import Mention, is_function_word, mentions, proper_names, quoted
from agentflow_core.text.minhash import NearDuplicates, jaccard, merge, minhash
from agentflow_core.text.numbers import Number, numbers
from agentflow_core.text.quotes import Span, find_quote
from agentflow_core.text.stated import (
    constants,
    is_bare_number,
    mention_stands_in,
    only_number,
    stands_in,
    states,
    strong_mentions,
)
from agentflow_core.text.words import (
    contains,
    hash64,
    normalize,
    novelty,
    overlap,
    shingles,
    shingles_of,
    tokens,
)

__all__ = [
    "Date",
    "Mention",
    "NearDuplicates",
    "Number",
    "Span",
    "action_key",
    "answer_tokens",
    "canonical_params",
    "canonical_text",
    "canonical_url",
    "constants",
    "contains",
    "dates",
    "find_quote",
    "hash64",
    "is_bare_number",
    "is_function_word",
    "jaccard",
    "mention_stands_in",
    "mentions",
    "merge",
    "minhash",
    "normalize",
    "normalize_answer",
    "normalize_quotes",
    "novelty",
    "numbers",
    "only_number",
    "overlap",
    "param_texts",
    "proper_names",
    "quoted",
    "shingles",
    "shingles_of",
    "stands_in",
    "states",
    "strong_mentions",
    "tokens",
]
