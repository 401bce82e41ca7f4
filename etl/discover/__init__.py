"""Discover: look at a source nobody has described yet, and propose its mapping. Pure: cells in, a proposal out."""

from etl.discover.drafts import Ask, Probes, Question
from etl.discover.presets import Preset, load_presets, recognise
from etl.discover.profiling import ColumnFacts, Profiler
from etl.discover.proposal import (
    Advice,
    ColumnProposal,
    NoIdentifierError,
    Proposal,
    identifier_strength,
    propose,
    propose_events,
)
from etl.discover.writing import mapping_text

__all__ = [
    "Advice",
    "Ask",
    "ColumnFacts",
    "ColumnProposal",
    "NoIdentifierError",
    "Preset",
    "Probes",
    "Profiler",
    "Proposal",
    "Question",
    "identifier_strength",
    "load_presets",
    "mapping_text",
    "propose",
    "propose_events",
    "recognise",
]
