"""Rows that sum up a table or tell of its export: ``Total,,,22``, ``3 rows``, ``Exported on 2026-01-02``.

Nobody is left out for a name: a row with an address, with a phone, or with words beside the label is a person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from etl.extract.table.cell_kinds import Kind, kind_of

TOTAL_WORDS: Final = (
    *(
        "total",
        "totals",
        "grand total",
        "overall total",
        "sub total",
        "subtotal",
        "subtotals",
        "sum",
        "sums",
        "summary",
    ),
    *("count", "average", "avg", "mean", "row count", "record count", "total rows", "total records", "total count"),
    *("total amount", "total customers", "all", "result", "gesamt", "gesamtsumme", "gesamtergebnis", "gesamtbetrag"),
    *("insgesamt", "summe", "summen", "zwischensumme", "teilsumme", "teilergebnis", "ergebnis", "endsumme", "anzahl"),
    *("durchschnitt", "mittelwert", "somme", "total général", "total general", "sous-total", "sous total", "totaux"),
    *("ensemble", "moyenne", "nombre", "suma", "suma total", "totales", "gran total", "promedio", "recuento", "totale"),
    *("totale generale", "totale complessivo", "totali", "somma", "subtotale", "conteggio", "media", "totais", "soma"),
    *("total geral", "média", "contagem", "totaal", "eindtotaal", "subtotaal", "som", "aantal", "gemiddelde", "razem"),
    *("łącznie", "ogółem", "suma końcowa", "podsuma", "celkem", "celkový součet", "součet", "spolu", "összesen"),
    *("végösszeg", "summa", "totalt", "totalsumma", "delsumma", "sum total", "i alt", "ialt", "total sum", "yhteensä"),
    *("summa yhteensä", "kokku", "kopā", "iš viso", "ukupno", "skupaj", "toplam", "genel toplam", "ara toplam"),
    *("итого", "итог", "всего", "общий итог", "сумма", "разом", "усього", "всього", "общо", "σύνολο", "γενικό σύνολο"),
    *(
        "合計",
        "総計",
        "小計",
        "总计",
        "合计",
        "小计",
        "總計",
        "합계",
        "총계",
        "소계",
        "סה״כ",
        'סה"כ',
        "المجموع",
        "الإجمالي",
    ),
)
_LABELS: Final = frozenset(TOTAL_WORDS)
_GROUP: Final = re.compile(
    r".+[\s:\u2013-](?:total|subtotal|sub-total|ergebnis|gesamt|summe|zwischensumme|teilergebnis|somme|suma|totale|totaal)"
    r"|(?:total|summe|subtotal|sous-total|total for|total de|totale|totaal)\s+(?:for|of|für|von|de|di|van)\s+.+",
    re.IGNORECASE,
)
_THINGS: Final = (
    r"(?:rows?|records?|results?|entries|entry|items?|lines?|customers?|contacts?|profiles?|subscribers?|people|persons?"
    r"|members?|leads?|users?|zeilen?|datens[äa]tze?|eintr[äa]ge?|kontakte?|kunden?|personen|lignes?|enregistrements?"
    r"|contactos?|registros?|filas?|righe|riga|record|linhas?|rijen|rij|regels?|wiersz[ey]?|rekord[óo]w|записей|строк)"
)
_COUNT: Final = re.compile(
    rf"\W*(?:total(?: of)?:?\s*)?\d[\d.,' ]*\s+{_THINGS}(?:\s+(?:affected|returned|selected|found|exported|in set|total"
    r"|gefunden|exportiert|ausgewählt|betroffen|insgesamt))?(?:\s*\([\d.]+ (?:sec|s|ms)\))?\W*"
    rf"|\W*(?:(?:total|number of|anzahl|count of|anzahl der|nombre de|gesamtzahl)\s+)?{_THINGS}\s*[:=]\s*\d[\d.,' ]*\W*"
    r"|\W*(?:grand total|sub-?total|totals?|summe|gesamt(?:summe)?|sum|count|anzahl|totale?|totaal|somme|suma|razem"
    r"|итого)\s*[:=(]\s*[^\w]*\d[\d.,' ]*\W*(?:[A-Z]{3})?\)?",
    re.IGNORECASE,
)
_FOOTER: Final = re.compile(
    r"\W*(?:"
    r"(?:(?:this |the )?(?:report|file|list|export|data) (?:was )?)?(?:exported|generated|created|printed|downloaded"
    r"|produced|extracted|run)\s+(?:on|at|by|from|for|with|using)\b.*"
    r"|(?:date |report |data |last )?(?:exported|generated|created|printed|downloaded|updated|export date|report date)"
    r"(?: date)?\s*:?\s*\d{1,4}[-./]\d{1,2}[-./]\d{1,4}\b.*|(?:data |stand |status )?as of\b.*|applied filters?\b.*"
    r"|filters?\s*:.*|filtered by\b.*|powered by\b.*|sources?\s*:\s.*|quelle\s*:\s.*"
    r"|(?:exportiert|erstellt|gedruckt|generiert|erzeugt|ausgedruckt)\s+(?:am|von|um|mit|durch|aus)\b.*"
    r"|(?:report|export|bericht|liste|druck|stand)(?:\s+(?:vom|date|datum|am|generated|run|created|erstellt))?\s*:?\s+"
    r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}\b.*"
    r"|(?:exporté|généré|créé|imprimé)e?s?\s+(?:le|par)\b.*|(?:exportado|generado|creado|gerado|criado)\s+(?:el|em|por)\b.*"
    r"|(?:esportato|generato|creato)\s+(?:il|da)\b.*|(?:geëxporteerd|gegenereerd|afgedrukt)\s+(?:op|door)\b.*"
    r"|(?:-+\s*)?end of (?:report|file|list|data|export|document|records)\b.*|(?:dateiende|ende der (?:liste|datei))"
    r"|page\s+\d+(?:\s+(?:of|/)\s*\d+)?|seite\s+\d+(?:\s+(?:von|/)\s*\d+)?|page\s+\d+\s+(?:sur|de)\s+\d+"
    r"|confidential\b.*|vertraulich\b.*|(?:copyright|\(c\)|©)\s.*|eof"
    r")\W*",
    re.IGNORECASE | re.DOTALL,
)
_RULE: Final = re.compile(r"[-=_+*~─━|]{3,}")
_UNIT: Final = re.compile(
    r"\s*\(.*$|\s+(?:in\s+)?(?:eur|usd|gbp|chf|sek|nok|dkk|pln|czk|huf|ron|jpy|cny|cad|aud|nzd|brl|mxn|inr|[$€£¥])$"
)
"""What may stand behind a label: ``Total (EUR)``, ``Total USD``."""
_MARKS: Final = " \t\u00a0:*#=.-\u2013\u2014()[]<>\"'"
_AMOUNTS: Final = frozenset((Kind.NUMBER, Kind.DATE))
_LONGEST: Final = 300
_MIN_DIGITS: Final = 6


def filled_cells(cells: Sequence[str | None]) -> list[tuple[int, str]]:
    """Return place and trimmed text of the cells in which something stands."""
    return [(place, text) for place, cell in enumerate(cells) if cell and (text := cell.strip())]


def is_summary(filled: Sequence[tuple[int, str]], phones: frozenset[int] = frozenset()) -> bool:
    """Whether a row sums up or tells of the export. ``filled``: see :func:`filled_cells`.

    ``phones``: places of the columns that are named after phones.
    """
    if not filled or any("@" in cell or len(cell) > _LONGEST for _, cell in filled):
        return False
    (_, first), *others = filled
    if not others and (_COUNT.fullmatch(first) or _FOOTER.fullmatch(first)):
        return True
    if all(_RULE.fullmatch(cell) for _, cell in filled):
        return True
    if not may_sum_up(first):
        return False
    for place, cell in others:
        if kind_of(cell) not in _AMOUNTS:
            # "Total", "3 rows": told in two cells.
            if not (_COUNT.fullmatch(cell) or (len(others) == 1 and _COUNT.fullmatch(f"{first} {cell}"))):
                return False
        elif place in phones and sum(letter.isdigit() for letter in cell) >= _MIN_DIGITS:
            return False
    label = _label(first)
    is_told = bool(_COUNT.fullmatch(first) or _FOOTER.fullmatch(first))
    is_group = _GROUP.fullmatch(first.strip(_MARKS)) is not None
    # A lone word may be all that is known of somebody, but nothing of it can be sent.
    return label in _LABELS or (bool(others) and (is_group or is_told or _FOOTER.fullmatch(f"{first} x") is not None))


def may_sum_up(cell: str) -> bool:
    """Whether the first filled cell of a row is worth a closer look."""
    return len(cell) <= _LONGEST and _HINT.search(cell) is not None


def _label(cell: str) -> str:
    bare = _UNIT.sub("", cell.casefold().strip(_MARKS))
    return " ".join(bare.strip(_MARKS).split())


_HINT: Final = re.compile(
    r"^\W*(?:\(?\d[\d.,' ]*\s+" + _THINGS + r"\b|" + _THINGS + r"\s*[:=])"
    r"|total|sum|count|gesamt|ergebnis|insgesamt|anzahl|aver|avg|mean|durchschnitt|mittelwert|somm|moyenne|nombre|totaal"
    r"|^\W*(?:" + "|".join(sorted(map(re.escape, TOTAL_WORDS), key=len, reverse=True)) + r")\W*$"
    r"|export|esport|generat|generiert|gegenereerd|erstellt|erzeugt|druck|print|creat|cread|criado|download|produced"
    r"|extracted|filter|powered|as of|^\W*sources?\W|"
    r"^\W*quelle\W|updated|^\W*run\b|report|bericht|liste|stand|généré|créé|imprimé|gerado|generado|page|seite|end|eof|confidential"
    r"|vertraulich|copyright|©|\(c\)|^[-=_+*~─━|]{3,}$",
    re.IGNORECASE,
)
HINT_PATTERN: Final = _HINT.pattern
