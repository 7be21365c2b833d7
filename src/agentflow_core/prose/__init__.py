"""Rules for reading English prose: sentences, names, what a text tells of its subject, what a question gives away.

The offline policies of environments stand on them. Import from here.
"""

from __future__ import annotations

from agentflow_core.prose.clauses import Clause, Kind, Told, told_of
from agentflow_core.prose.dates import DATE, DATE_OR_YEAR, MONTH
from agentflow_core.prose.names import (
    base_title,
    is_named_in,
    mentions_name,
    name_key,
    name_pattern,
    with_article,
    without_qualifier,
)
from agentflow_core.prose.nouns import CREATION, WORKS, is_person_noun, is_place_noun
from agentflow_core.prose.questions import answers_alone, asks_yes_no, hides, is_named_first
from agentflow_core.prose.sentences import sentence_spans, sentences, without_asides
from agentflow_core.prose.verbs import (
    AUXILIARIES,
    base_form,
    is_finite,
    is_participle,
    may_be_finite,
    past_form,
)
from agentflow_core.prose.vocabulary import MAKERS, PREPOSITIONS
from agentflow_core.prose.words import content_words, stem

__all__ = [
    "AUXILIARIES",
    "CREATION",
    "DATE",
    "DATE_OR_YEAR",
    "MAKERS",
    "MONTH",
    "PREPOSITIONS",
    "WORKS",
    "Clause",
    "Kind",
    "Told",
    "answers_alone",
    "asks_yes_no",
    "base_form",
    "base_title",
    "content_words",
    "hides",
    "is_finite",
    "is_named_first",
    "is_named_in",
    "is_participle",
    "is_person_noun",
    "is_place_noun",
    "may_be_finite",
    "mentions_name",
    "name_key",
    "name_pattern",
    "past_form",
    "sentence_spans",
    "sentences",
    "stem",
    "told_of",
    "with_article",
    "without_asides",
    "without_qualifier",
]
