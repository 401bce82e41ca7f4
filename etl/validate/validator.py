"""Validate: judge a chunk of source cells by the mapping, the schema and Klaviyo's limits.

A bad cell that the row can do without costs the cell, with a warning. It costs the row where the mapping says
``required``, or where no identifier is left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc

from etl.codes import CODES
from etl.config import CONSENT_PREFIX, PROPERTY_PREFIX, Mapping, consent_columns
from etl.errors import ConfigError
from etl.model import IDENTIFIERS, Issue, Severity, Stage, Validated
from etl.validate.cells import Finding, as_trimmed
from etl.validate.column_rules import details, rule_schema
from etl.validate.damage.columns import Damage
from etl.validate.emails.columns import judge_emails
from etl.validate.failures import CheckFailure, Mask, assert_compatible, failed_checks
from etl.validate.geo.countries import resolve_country
from etl.validate.geo.locales import canonical_locales
from etl.validate.geo.postal_codes import lost_zeros
from etl.validate.ids import EVENT_IDS, NAMING, doubtful_marks, lost_digits, without_mark
from etl.validate.phones.judge import judge_phones
from etl.validate.schema import DEFAULT_SCHEMA, adapt, load_schema
from etl.validate.suggestions import suggest
from schemas.columns import texts
from schemas.consent import consent_schema
from schemas.opt_outs import ConsentMeaning

_EMAIL = "email"
_PHONE = "phone_number"
_LOCALE = "locale"
_ZIP = "location.zip"
_NOBODY = "identifier-missing"
_UNKNOWN_WORD = "consent-word-unknown"
"""An advice of the schema that costs the cell all the same: nothing is asked for."""


class _Fault(NamedTuple):
    """A fault of a cell or, where ``target`` is empty, of a row. ``fatal``: the cell or the row is refused."""

    position: int
    code: str
    target: str
    header: str | None
    detail: str = ""
    suggestion: str = ""
    fatal: bool = True


class Validator:
    """Judges chunk by chunk; keeps nothing between chunks, so that any process may judge any chunk.

    Pickles as what it was made of: pandera's checks are functions, which do not.
    """

    def __init__(self, mapping: Mapping, headers: tuple[str, ...]) -> None:
        """Compile the rules. ``headers``: the source's columns. Raise :class:`ConfigError` for what does not fit."""
        absent = mapping.missing_columns(headers)
        if absent:
            raise ConfigError(
                "column-missing",
                f"The source has no column {', '.join(map(repr, absent))}",
                "Correct [columns] in the mapping, or export the column.",
            )
        country = mapping.defaults.country
        if country is not None and resolve_country(country) is None:
            raise ConfigError(
                "mapping-invalid", f"defaults.country: there is no country {country!r}", "Write it like US or DE."
            )
        self._mapping = mapping
        self._headers = headers
        self._targets = {target: header for target, (header, _) in mapping.by_target.items()}
        self._required = frozenset(target for target, (_, rule) in mapping.by_target.items() if rule.required)
        self._erasable = [target for target, (_, rule) in mapping.by_target.items() if rule.write != "if_new_not_blank"]
        marks = {target: rule.apostrophe for target, (_, rule) in mapping.by_target.items()}
        self._unmarked = [target for target, mark in marks.items() if mark == "drop"]
        self._naming = [target for target, mark in marks.items() if mark is None and target in NAMING]
        self._texts = [
            target
            for target, (_, rule) in mapping.by_target.items()
            if target.startswith(PROPERTY_PREFIX) and target not in EVENT_IDS and rule.type == "text"
        ]
        self._details = details(mapping)
        targets = tuple(self._targets)
        # Klaviyo's limits hold whatever schema the user brings.
        references = dict.fromkeys((DEFAULT_SCHEMA, mapping.profile.schema_))
        loaded = [load_schema(reference, targets, mapping.code) for reference in references]
        for reference, schema in zip(references, loaded, strict=True):
            if reference != DEFAULT_SCHEMA:  # ours asks for text and for no column
                assert_compatible(schema, targets)
        self._schemas = [adapt(rule_schema(mapping), targets), *loaded]
        if mapping.asks_consent:
            self._schemas += [adapt(schema, targets) for schema in _consent_schemas(mapping, self._required)]

    def __reduce__(self) -> tuple[type[Validator], tuple[Mapping, tuple[str, ...]]]:
        return Validator, (self._mapping, self._headers)

    def validate(self, frame: pd.DataFrame, damage: Damage | None = None) -> Validated:
        """Judge source cells. ``frame``: headers as columns, ``str`` dtype, index ``line``, each line once.

        ``damage``: what was found in the same rows before; cells that it holds back are refused.
        """
        cells = {target: as_trimmed(texts(frame[header])) for target, header in self._targets.items()}
        cells |= {target: without_mark(cells[target]) for target in self._unmarked}
        refused = {target: np.zeros(len(frame), dtype=bool) for target in cells}
        faults: list[_Fault] = []
        if damage is not None:
            faults += self._damaged(damage, cells, refused)
        if _EMAIL in cells:
            emails = judge_emails(cells[_EMAIL])
            cells[_EMAIL] = emails.normal
            faults += self._found(_EMAIL, emails.findings, refused)
        if _PHONE in cells:
            countries = self._countries(frame)
            texting = "consent.sms" in cells or "consent.sms_transactional" in cells
            phones = judge_phones(cells[_PHONE], countries, default=self._mapping.defaults.country, mobile_only=texting)
            cells[_PHONE] = phones.normal
            faults += self._found(_PHONE, phones.findings, refused)
            faults += self._unknown_countries(phones.findings, countries)
        if _LOCALE in cells:
            cells[_LOCALE] = canonical_locales(cells[_LOCALE])
        faults += self._named(cells, refused)
        if _ZIP in cells:
            zips = lost_zeros(cells[_ZIP], self._country_cells(frame), self._mapping.defaults.country)
            faults += self._found(_ZIP, zips, refused)
        checked = pd.DataFrame({target: _series(column, frame.index) for target, column in cells.items()})
        broken: list[Issue] = []
        lost_rows = np.zeros(len(frame), dtype=bool)
        told: dict[tuple[str, str], Mask] = {}
        for schema in self._schemas:
            for failure in failed_checks(schema, checked):
                if failure.broken:
                    broken.append(self._broken(failure))
                elif failure.code != _NOBODY or failure.column is not None:
                    faults += self._failed(failure, checked, refused, lost_rows, told)
        return self._verdict(checked, refused, lost_rows, faults, broken)

    def _named(self, cells: dict[str, Any], refused: dict[str, Mask]) -> Iterator[_Fault]:
        """Refuse ids and codes that can be read in two ways, and ids of events that lost digits."""
        for target in self._naming:
            yield from self._found(target, doubtful_marks(cells[target]), refused)
        for target in EVENT_IDS & cells.keys():
            yield from self._found(target, lost_digits(cells[target]), refused)
        for target in self._texts:
            yield from self._found(target, lost_digits(cells[target], "number-digits-lost"), refused)

    def _countries(self, frame: pd.DataFrame) -> str | pa.Array | None:
        column = self._mapping.defaults.country_column
        return as_trimmed(texts(frame[column])) if column else self._mapping.defaults.country

    def _country_cells(self, frame: pd.DataFrame) -> pa.Array | None:
        """Return what the rows say of their country, in the column for phones or in the profile's own."""
        column = self._mapping.defaults.country_column or self._targets.get("location.country")
        return as_trimmed(texts(frame[column])) if column else None

    def _damaged(self, damage: Damage, cells: dict[str, pa.Array], refused: dict[str, Mask]) -> Iterator[_Fault]:
        """Empty the cells that are held back, and tell what is wrong with them."""
        for target, header in self._targets.items():
            if (held := damage.held.get(header)) is not None:
                refused[target] |= held
                cells[target] = pc.if_else(pa.array(held), "", cells[target])
            if header in damage.findings:
                yield from self._found(target, damage.findings[header], refused)
        mapped = set(self._targets.values())
        for header, findings in damage.findings.items():
            if header not in mapped:  # of a column that others are computed from
                for finding in findings:
                    yield _Fault(
                        finding.position, finding.code, "", header, finding.detail, finding.suggestion, fatal=False
                    )

    def _found(self, target: str, findings: Iterable[Finding], refused: dict[str, Mask]) -> Iterator[_Fault]:
        header = self._targets[target]
        mask = refused[target]
        for position, code, detail, suggestion, fatal in map(_FINDING, findings):
            if fatal:
                mask[position] = True
            yield _Fault(position, code, target, header, detail, suggestion, fatal)

    def _unknown_countries(self, findings: Iterable[Finding], countries: str | pa.Array | None) -> Iterator[_Fault]:
        """Say where a phone was refused for want of a country that the row does name, but nobody knows."""
        if countries is None or isinstance(countries, str):
            return
        for finding in findings:
            if finding.code == "phone-no-country":
                name = countries[finding.position].as_py()
                if name and resolve_country(name) is None:
                    column = self._mapping.defaults.country_column
                    yield _Fault(finding.position, "country-unknown", "", column, fatal=False)

    def _broken(self, failure: CheckFailure) -> Issue:
        header = self._targets.get(failure.column or "")
        return Issue(0, Stage.VALIDATE, failure.code, header, failure.detail, Severity.WARNING)

    def _failed(
        self,
        failure: CheckFailure,
        frame: pd.DataFrame,
        refused: dict[str, Mask],
        lost_rows: Mask,
        told: dict[tuple[str, str], Mask],
    ) -> Iterator[_Fault]:
        target = failure.column or ""
        mask = failure.mask
        if not failure.advisory:
            (refused[target] if target else lost_rows)[mask] = True
        key = (target, f"{failure.code} {failure.detail}")
        if key in told:  # a schema derived from Profile asks Profile's questions again
            mask = mask & ~told[key]
            told[key] |= failure.mask
        else:
            told[key] = failure.mask.copy()
        header = self._targets.get(target)
        detail = failure.detail or self._details.get((target, failure.code), "")
        rule = self._mapping.by_target[target][1] if target else None
        positions = np.flatnonzero(mask).tolist()
        values = frame[target].iloc[positions].tolist() if target else [""] * len(positions)
        advice = {cell: suggest(failure.code, cell, rule) for cell in set(values)}
        for position, cell in zip(positions, values, strict=True):
            yield _Fault(position, failure.code, target, header, detail, advice[cell], not failure.advisory)

    def _verdict(
        self,
        frame: pd.DataFrame,
        refused: dict[str, Mask],
        rejected: Mask,
        faults: list[_Fault],
        broken: list[Issue],
    ) -> Validated:
        for target, mask in refused.items():
            if mask.any():
                frame[target] = frame[target].mask(mask, "")
            if target in self._required:
                missing = (frame[target] == "").to_numpy(dtype=bool) & ~mask
                rejected |= mask | missing
                header = self._targets[target]
                faults += [_Fault(at, "required-missing", target, header) for at in np.flatnonzero(missing).tolist()]
        nobody = np.ones(len(frame), dtype=bool)
        for target in IDENTIFIERS:
            if target in frame:
                nobody &= (frame[target] == "").to_numpy(dtype=bool)
        rejected |= nobody
        faults += [_Fault(position, _NOBODY, "", None) for position in np.flatnonzero(nobody).tolist()]
        for target in self._erasable:
            # An empty cell of these erases what Klaviyo has; a bad one must not.
            frame[target] = frame[target].mask(refused[target])
        lines = frame.index.tolist()
        issues = [
            Issue(
                lines[fault.position],
                CODES[fault.code].stage,
                fault.code,
                fault.header,
                fault.detail,
                severity,
                fault.suggestion,
                left_out=severity is Severity.WARNING and (fault.fatal or fault.code == _UNKNOWN_WORD),
            )
            for fault in faults
            for severity in (self._severity(fault, nobody),)
        ]
        issues.sort(key=attrgetter("line"))
        accepted = frame.loc[~rejected] if rejected.any() else frame
        return Validated(accepted, frozenset(frame.index[rejected].tolist()), (*broken, *issues))

    def _severity(self, fault: _Fault, nobody: Mask) -> Severity:
        if not fault.fatal:
            return Severity.WARNING
        costs_row = (
            not fault.target
            or fault.target in self._required
            or (fault.target in IDENTIFIERS and bool(nobody[fault.position]))
        )
        return Severity.ERROR if costs_row else Severity.WARNING


_FINDING = attrgetter("position", "code", "detail", "suggestion", "fatal")


def _consent_schemas(mapping: Mapping, required: Collection[str]) -> Iterator[pandera.DataFrameSchema]:
    """Yield what names words of consent that nobody knows: where a bad cell costs the row, and where it warns."""
    for costly in (False, True):
        known = {
            column.slot: (lambda cell, says=column.meaning: says(cell) is not ConsentMeaning.UNCLEAR)
            for column in consent_columns(mapping)
            if column.slot.startswith(CONSENT_PREFIX) and (column.slot in required) is costly
        }
        if known:
            yield consent_schema(known, warns=not costly)


def _series(column: pa.Array, index: pd.Index[Any]) -> pd.Series[str]:
    return pd.Series(column, index=index, dtype="str")
