"""Init: look at a source, recognise it, propose its mapping. Reads the source once, sends nothing, stores nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.config import ColumnRule, SourceRule, parse_event_mapping, parse_mapping
from etl.discover import (
    Advice,
    Ask,
    NoIdentifierError,
    Preset,
    Probes,
    Proposal,
    load_presets,
    mapping_text,
    propose,
    propose_events,
    recognise,
)
from etl.errors import ConfigError, SourceError, UsageError
from etl.extract import Source, is_remote, names_in, open_query, server_of
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.readings import show_words
from etl.pipeline.staging.sources import SourceLike, given_files, open_found, variables_for
from etl.pipeline.verbs.init_source import Looked, look, sheet_of
from etl.transform import Converted, converter
from etl.validate import (
    country_name,
    damage_told,
    read_phone,
    resolve_country,
    textable_phones,
    valid_emails,
    valid_phones,
    zip_digits,
)


def _safe(question: Any) -> str:
    return str(question.safe)


def init(
    source: SourceLike | None,
    *,
    rule: SourceRule | None = None,
    beside: Path | None = None,
    preset: str | None = None,
    ask: Ask = _safe,
    context: Context | None = None,
) -> tuple[Proposal, str]:
    """Return the proposal for a source and the text of its mapping file.

    ``source``: a file, or several; ``None`` for the query of ``rule``. ``beside``: folder the mapping will lie in.
    ``preset``: name of one to use whatever the headers say. ``ask``: answers what only a person knows; without it the
    safe choice holds. Raise SourceError, ConfigError (nothing identifies a person), UsageError (no such preset).
    """
    context = context or Context.create()
    rule = rule or SourceRule()
    chosen = _preset(preset)
    rule = rule.model_copy(update={"variables": rule.named_variables})
    probes = _probes(context.clock.now())
    paths = [] if source is None else _paths(source)
    if (sheet := sheet_of(paths, rule, probes, ask, context)) is not None:
        name, looked = sheet
        rule = rule.model_copy(update={"sheet": name})
    else:
        opened, rule = _opened(source, rule, context)
        with opened:
            show_words(context, opened.info)
            looked = look(opened, context)
    proposal = _proposed(looked, chosen, probes, ask, named=len(paths) == 1, several=rule.columns == "any")
    proposal = replace(proposal, advice=(*proposal.advice, *_damage(proposal)))
    about_sheets = tuple(advice for advice in looked.said if advice.about == "sheet")
    proposal = replace(proposal, advice=(*proposal.advice, *about_sheets))
    text = mapping_text(proposal, source=_source_keys(source, rule, beside), name=looked.info.name)
    _must_run(text, looked.info.columns, events=bool(proposal.event))
    return replace(
        proposal, advice=(*proposal.advice, *(each for each in looked.said if each not in about_sheets))
    ), text


def _damage(proposal: Proposal) -> Iterator[Advice]:
    """Yield what was seen of damaged cells in columns that will be imported."""
    for column in proposal.columns:
        if column.rule is not None and not column.rule.get("repair"):
            cells = column.facts.cells
            if said := damage_told(cells, str(column.rule["to"])):
                yield Advice(
                    column.facts.header,
                    f"{column.facts.header!r}: of {len(cells):,} cells that were looked at, some hold {said}. They are "
                    "left out; repair = true takes what they were to be, repair = false sends them as they are.",
                )


def _proposed(
    looked: Looked, chosen: Preset | None, probes: Probes, ask: Ask, *, named: bool, several: bool
) -> Proposal:
    """Return the proposal: events for an orders export, profiles for all else or where a preset was ``chosen``."""
    columns = looked.info.columns
    preset = chosen or recognise(columns)
    if preset is None and (events := propose_events(looked.facts, looked.beginning, probes, ask)) is not None:
        return events
    try:
        return propose(looked.facts, preset, probes, ask, name=looked.info.name if named else "", several=several)
    except NoIdentifierError:
        raise ConfigError(
            "nobody-identified",
            f"{looked.info.name}: no column holds an e-mail, a phone or an id, and Klaviyo needs one of them",
            " ".join(
                (
                    f"Columns there: {', '.join(map(repr, columns[:30]))}. Export one of them too.",
                    *(f"Of the file: {note}." for note in looked.info.notes),
                )
            ),
        ) from None


def _preset(key: str | None) -> Preset | None:
    if key is None:
        return None
    presets = {preset.key: preset for preset in load_presets()}
    if key not in presets:
        raise UsageError("preset-unknown", f"There is no preset {key!r}", f"Presets: {', '.join(sorted(presets))}.")
    return presets[key]


def _opened(source: SourceLike | None, rule: SourceRule, context: Context) -> tuple[Source, SourceRule]:
    """Open the source; files whose columns differ as a table of all their columns."""
    if source is None:
        if (server := server_of(rule.url or "")) is not None:
            context.announce(f"Asking {server}")
        return open_query(rule, environ=variables_for(rule)), rule
    files = given_files(_paths(source), rule, context)
    try:
        return open_found(files, rule), rule
    except SourceError as error:
        if error.code != "columns-differ":
            raise
    rule = rule.model_copy(update={"columns": "any"})
    return open_found(files, rule), rule


def _paths(source: SourceLike) -> list[Path | str]:
    return [source] if isinstance(source, Path | str) else list(source)


def _source_keys(source: SourceLike | None, rule: SourceRule, beside: Path | None) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if source is not None and str(source) != "-":
        written = [_written(path, beside) for path in _paths(source)]
        keys["path"] = written[0] if len(written) == 1 else written
    given = rule.model_dump(mode="json", exclude_defaults=True)
    remote = [str(path) for path in _paths(source or ()) if is_remote(str(path))]
    if named := names_in(*remote):
        given["variables"] = list(named)
    return {**keys, **{name: value for name, value in given.items() if name != "path"}}


def _written(path: Path | str, beside: Path | None) -> str:
    near = beside is not None and not is_remote(str(path))
    return Path(os.path.relpath(path, beside)).as_posix() if near else str(path)


def _probes(now: float) -> Probes:
    rules: dict[str, Any] = {}

    def converted(rule: dict[str, Any], cell: str) -> Converted:
        key = repr(sorted(rule.items()))
        if key not in rules:
            rules[key] = converter(ColumnRule.model_validate({"to": "properties.x", **rule}), None, now)
        convert = rules[key]
        return Converted(cell) if convert is None else convert(cell)

    def made(rule: dict[str, Any], cell: str) -> str:
        found = converted(rule, cell)
        return "left out" if found.code and not found.keep else str(found.value)

    return Probes(
        emails=lambda cells: _share(valid_emails(_array(cells))),
        phones=lambda cells, country: _share(valid_phones(_array(cells), country)),
        textable=lambda cells, country: _share(textable_phones(_array(cells), country)),
        read_phone=read_phone,
        country_of=resolve_country,
        country_name=lambda code: country_name(code) or code,
        zip_digits=zip_digits,
        converts=lambda rule, cell: not converted(rule, cell).code,
        preview=made,
    )


def _array(cells: Sequence[str]) -> pa.Array:
    return pa.array(cells, pa.large_string())


def _share(verdicts: Sequence[bool]) -> float:
    return sum(verdicts) / len(verdicts) if len(verdicts) else 0.0


def _must_run(text: str, columns: Sequence[str], *, events: bool) -> None:
    """Read back what was written: a mapping that init wrote is one that run takes."""
    import tomllib  # noqa: PLC0415 - only init writes TOML, and reads it back here

    where = "the proposed mapping"
    document = tomllib.loads(text)
    mapping = parse_event_mapping(document, where=where).compiled if events else parse_mapping(document, where=where)
    missing = mapping.missing_columns(tuple(columns))
    if missing:
        raise ConfigError("column-missing", f"The proposed mapping names {missing[0]!r}", "Please report this bug.")
