"""Words that stand for nothing: a database's NULL, a program's undefined, and errors of a spreadsheet's formulas."""

from __future__ import annotations

# ruff: noqa: RUF001  words stand in their own scripts
from typing import Final

NULL: Final = "null-word"
ERROR: Final = "cell-error"

_EVERYWHERE: Final = (
    *("NULL", "null", "(null)", "(NULL)", "(Null)", "<null>", "<NULL>", "<Null>", "[null]", "[NULL]", "{null}"),
    *("\\N", "nil", "<nil>", "undefined", "NaN", "nan", "-nan", "NaT", "<NA>", "#NULL", "NIL", "UNDEFINED", "\\null"),
)
# "None" and "n/a" may be somebody's answer to a question of the shop's own; no person and no town is called so.
_OF_PEOPLE: Final = (
    *("None", "NONE", "none", "N/A", "n/a", "N.A.", "n.a.", "#NA", "(not set)", "(none)", "(blank)", "(leer)"),
    *("(empty)", "[object Object]"),
)
# As Excel, LibreOffice and Google Sheets write them, in the languages they are sold in.
_ERRORS: Final = (
    *("#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!"),
    *("#CONNECT!", "#BUSY!", "#GETTING_DATA", "#UNKNOWN!", "#EXTERNAL!", "#PYTHON!", "#ERROR!", "#N/A N/A", "Err:502"),
    *("Err:504", "Err:508", "Err:509", "Err:511", "Err:512", "Err:518", "Err:519", "Err:522", "Err:523", "Err:540"),
    *("#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#ÜBERLAUF!", "#VALEUR!", "#NOM?", "#NOMBRE!", "#NUL!", "#PROPAGATION!"),
    *("#¡REF!", "#¡VALOR!", "#¿NOMBRE?", "#¡NUM!", "#¡DIV/0!", "#¡NULO!", "#¡DESBORDAMIENTO!", "#N/D", "#RIF!"),
    *("#VALORE!", "#NOME?", "#NULLO!", "#VALOR!", "#NÚM!", "#NULO!", "#DESPEJAR!", "#N/B", "#VERW!", "#WAARDE!"),
    *("#NAAM?", "#GETAL!", "#DEEL/0!", "#LEEG!", "#OVERLOOP!", "#ADR!", "#ARG!", "#LICZBA!", "#NAZWA?", "#N/D!"),
    *("#ZERO!", "#SAKNAS!", "#REFERENS!", "#VÄRDEFEL!", "#NAMN?", "#OGILTIGT!", "#DIVISION/0!", "#I/T", "#REFERENCE!"),
    *("#VÆRDI!", "#NAVN?", "#IR", "#PUUTTUU!", "#VIITTAUS!", "#ARVO!", "#NIMI?", "#LUKU!", "#JAKO/0!", "#HIÁNYZIK"),
    *("#HIV!", "#ÉRTÉK!", "#NÉV?", "#SZÁM!", "#ZÉRÓOSZTÓ!", "#NENÍ_K_DISPOZICI", "#ODKAZ!", "#HODNOTA!", "#NÁZEV?"),
    *("#ČÍSLO!", "#DĚLENÍ_NULOU!", "#YOK", "#BAŞV!", "#DEĞER!", "#AD?", "#SAYI!", "#SAYI/0!", "#BOŞ!"),
    *("#Н/Д", "#ССЫЛКА!", "#ЗНАЧ!", "#ИМЯ?", "#ЧИСЛО!", "#ДЕЛ/0!", "#ПУСТО!"),
)

EVERYWHERE: Final = {**dict.fromkeys(_EVERYWHERE, NULL), **dict.fromkeys(_ERRORS, ERROR)}
"""Trimmed cell → code, in any column."""
OF_PEOPLE: Final = {**dict.fromkeys(_OF_PEOPLE, NULL), **EVERYWHERE}
"""The same in columns that Klaviyo has a field of its own for, such as names and places."""
