"""Exports in many dialects, each with the cells that its writer meant: for tests and for the bench of dialects."""

from __future__ import annotations

from typing import Final, NamedTuple


class DialectFile(NamedTuple):
    """``rows``: header and records as they were meant. ``\\N`` of a database is empty."""

    text: str
    rows: list[list[str]]


def _tsv(*rows: str) -> list[list[str]]:
    return [row.split("~") for row in rows]


HEAD: Final = "Email~Name~City"
ANN: Final = "ann@mapleshop.com~Ann~Bonn"
BOB: Final = "bob@mapleshop.com~Bob~Ulm"
CY: Final = "cy@mapleshop.com~Cy~Rome"
_PEOPLE: Final = _tsv(HEAD, ANN, BOB, CY)


def _joined(rows: list[list[str]], delimiter: str, end: str = "\n", quote: str = "") -> str:
    return "".join(delimiter.join(quote + cell + quote for cell in row) + end for row in rows)


_RAGGED: Final = [["E-Mail", "Vorname", "Ort", "Umsatz, EUR"]] + [
    [f"p{number}@mapleshop.com", "Ann", "Bonn", f"{number},50"] for number in range(40)
]

FILES: Final[dict[str, DialectFile]] = {
    "comma": DialectFile(_joined(_PEOPLE, ","), _PEOPLE),
    "semicolon": DialectFile(_joined(_PEOPLE, ";", "\r\n"), _PEOPLE),
    "tab": DialectFile(_joined(_PEOPLE, "\t"), _PEOPLE),
    "pipe": DialectFile(_joined(_PEOPLE, "|", "\r\n"), _PEOPLE),
    "old Mac line ends": DialectFile(_joined(_PEOPLE, ",", "\r"), _PEOPLE),
    "all quoted": DialectFile(_joined(_PEOPLE, ",", quote='"'), _PEOPLE),
    "all quoted, semicolon": DialectFile(_joined(_PEOPLE, ";", "\r\n", '"'), _PEOPLE),
    "doubled quotes and line breaks": DialectFile(
        'Email,Name,City\nann@mapleshop.com,"Ann ""Annie"" Lee","Bonn\nGermany"\nbob@mapleshop.com,Bob,Ulm\n',
        _tsv(HEAD, 'ann@mapleshop.com~Ann "Annie" Lee~Bonn\nGermany', BOB),
    ),
    "backslash before quotes": DialectFile(
        '"Email","Name","City"\n"ann@mapleshop.com","Ann \\"Annie\\" Lee","Bonn"\n"bob@mapleshop.com","Bob","Ulm"\n'
        '"cy@mapleshop.com",\\N,"Rome"\n',
        _tsv(HEAD, 'ann@mapleshop.com~Ann "Annie" Lee~Bonn', BOB, "cy@mapleshop.com~~Rome"),
    ),
    "backslash before quotes, semicolon": DialectFile(
        '"Email";"Name";"City"\n"ann@mapleshop.com";"\\"Annie\\"; Lee";"Bonn"\n"bob@mapleshop.com";"C:\\\\Bob";"Ulm"\n',
        _tsv(HEAD, 'ann@mapleshop.com~"Annie"; Lee~Bonn', "bob@mapleshop.com~C:\\Bob~Ulm"),
    ),
    "backslash before delimiters": DialectFile(
        "Email,Name,City\nann@mapleshop.com,Lee\\, Ann,Bonn\nbob@mapleshop.com,Bob,Ulm\n",
        _tsv(HEAD, "ann@mapleshop.com~Lee, Ann~Bonn", BOB),
    ),
    "MySQL into outfile": DialectFile(
        "Email\tName\tCity\nann@mapleshop.com\tAnn\\\tLee\t\\N\nbob@mapleshop.com\tBob\\\nMay\tUlm\n",
        _tsv(HEAD, "ann@mapleshop.com~Ann\tLee~", "bob@mapleshop.com~Bob\nMay~Ulm"),
    ),
    "MySQL batch, PostgreSQL copy": DialectFile(
        "Email\tName\tCity\nann@mapleshop.com\tAnn\\nLee\t\\N\nbob@mapleshop.com\tShop\\\\Bob\tUlm\n",
        _tsv(HEAD, "ann@mapleshop.com~Ann\nLee~", "bob@mapleshop.com~Shop\\Bob~Ulm"),
    ),
    "Windows paths are no escapes": DialectFile(
        '"Email","Name","City"\n"ann@mapleshop.com","C:\\temp\\","Bonn"\n"bob@mapleshop.com","D:\\new","Ulm"\n',
        _tsv(HEAD, "ann@mapleshop.com~C:\\temp\\~Bonn", "bob@mapleshop.com~D:\\new~Ulm"),
    ),
    "NULL in commas": DialectFile(
        'Email,Name,City\nann@mapleshop.com,\\N,Bonn\nbob@mapleshop.com,"Bob, Jr.",\\N\n',
        _tsv(HEAD, "ann@mapleshop.com~~Bonn", "bob@mapleshop.com~Bob, Jr.~"),
    ),
    "blank before quotes": DialectFile(
        'Email, Name, City\nann@mapleshop.com, "Lee, Ann", "Bonn"\nbob@mapleshop.com, "Bob", "Ulm"\n',
        _tsv(HEAD, "ann@mapleshop.com~Lee, Ann~Bonn", BOB),
    ),
    "blanks on both sides of quotes": DialectFile(
        '"Email" ; "Name" ; "City"\n"ann@mapleshop.com" ; "Ann; ""A"" Lee" ; ""\n"bob@mapleshop.com" ; "Bob" ; "Ulm"\n',
        _tsv(HEAD, 'ann@mapleshop.com~Ann; "A" Lee~', BOB),
    ),
    "single quotes": DialectFile(
        "'Email','Name','City'\n'ann@mapleshop.com','Lee, Ann','Bonn'\n'bob@mapleshop.com','Bob O''Hara','Ulm'\n",
        _tsv(HEAD, "ann@mapleshop.com~Lee, Ann~Bonn", "bob@mapleshop.com~Bob O'Hara~Ulm"),
    ),
    "single quotes, semicolon, bare header": DialectFile(
        "Email;Name;City\n'ann@mapleshop.com';'Ann';'Bonn'\n'bob@mapleshop.com';'Bob; Jr.';'Ulm'\n",
        _tsv(HEAD, ANN, "bob@mapleshop.com~Bob; Jr.~Ulm"),
    ),
    "single quotes, escaped": DialectFile(
        "'Email','Name','City'\n'ann@mapleshop.com','Ann O\\'Hara','Bonn'\n'bob@mapleshop.com','Bob, Jr.','Ulm'\n",
        _tsv(HEAD, "ann@mapleshop.com~Ann O'Hara~Bonn", "bob@mapleshop.com~Bob, Jr.~Ulm"),
    ),
    "apostrophes are no quotes": DialectFile(
        "Email,Name,City\nann@mapleshop.com,Ann 't Hooft,'s-Hertogenbosch\nbob@mapleshop.com,O'Hara,D'Iberville\n",
        _tsv(HEAD, "ann@mapleshop.com~Ann 't Hooft~'s-Hertogenbosch", "bob@mapleshop.com~O'Hara~D'Iberville"),
    ),
    "stray quotes, tab: two people stay two": DialectFile(
        'Email\tName\tCity\nann@mapleshop.com\t"Annie\tBonn\nbob@mapleshop.com\tBobby"\tUlm\n'
        "cy@mapleshop.com\tCy\tRome\n",
        _tsv(HEAD, 'ann@mapleshop.com~"Annie~Bonn', 'bob@mapleshop.com~Bobby"~Ulm', CY),
    ),
    "a stray quote that is never closed, tab": DialectFile(
        'Email\tName\tCity\nann@mapleshop.com\t"Annie\tBonn\nbob@mapleshop.com\tBob\tUlm\ncy@mapleshop.com\tCy\tRome\n',
        _tsv(HEAD, 'ann@mapleshop.com~"Annie~Bonn', BOB, CY),
    ),
    "inches, tab": DialectFile(
        'Email\tSize\tCity\nann@mapleshop.com\t5" screen\tBonn\nbob@mapleshop.com\t"wide\tUlm\n'
        "cy@mapleshop.com\tCy\tRome\n",
        _tsv("Email~Size~City", 'ann@mapleshop.com~5" screen~Bonn', 'bob@mapleshop.com~"wide~Ulm', CY),
    ),
    "sep line": DialectFile("sep=;\n" + _joined(_PEOPLE, ";"), _PEOPLE),
    "sep line in quotes": DialectFile('"sep=|"\r\n' + _joined(_PEOPLE, "|", "\r\n"), _PEOPLE),
    "sep line filled up": DialectFile("sep=;;;\n" + _joined(_PEOPLE, ";"), _PEOPLE),
    "one ragged row": DialectFile(_joined(_RAGGED, ";") + "Summe;;820,00\n", _RAGGED),
    "one ragged row, comma": DialectFile(
        "Email,Name,Tags\n" + "".join(f"p{number}@mapleshop.com,Ann,a;b\n" for number in range(20)) + "x;y,z\n",
        [["Email", "Name", "Tags"], *([f"p{number}@mapleshop.com", "Ann", "a;b"] for number in range(20))],
    ),
    "decimal commas": DialectFile(
        "Email;Umsatz;Rabatt\nann@mapleshop.com;1,50;0,10\nbob@mapleshop.com;22,50;0,20\n",
        _tsv("Email~Umsatz~Rabatt", "ann@mapleshop.com~1,50~0,10", "bob@mapleshop.com~22,50~0,20"),
    ),
    "lists by semicolon in commas": DialectFile(
        "Email,Interests\nann@mapleshop.com,Cheese;Wine;Bread\nbob@mapleshop.com,Cheese;Wine\ncy@mapleshop.com,Tea;Rum\n",
        _tsv(
            "Email~Interests",
            "ann@mapleshop.com~Cheese;Wine;Bread",
            "bob@mapleshop.com~Cheese;Wine",
            "cy@mapleshop.com~Tea;Rum",
        ),
    ),
    "names with commas between tabs": DialectFile(
        "Email\tName\tCity\nann@mapleshop.com\tLee, Ann\tBonn, DE\nbob@mapleshop.com\tMay, Bob\tUlm, DE\n",
        _tsv(HEAD, "ann@mapleshop.com~Lee, Ann~Bonn, DE", "bob@mapleshop.com~May, Bob~Ulm, DE"),
    ),
    "control characters of Hive": DialectFile(
        _joined(_PEOPLE, "\x01").replace("Bonn", "\\N"), [[cell.replace("Bonn", "") for cell in row] for row in _PEOPLE]
    ),
    "carets": DialectFile(_joined(_PEOPLE, "^"), _PEOPLE),
    "tildes, quoted": DialectFile(_joined(_PEOPLE, "~", quote='"'), _PEOPLE),
    "two marks": DialectFile("\ufeff\ufeff" + _joined(_PEOPLE, ","), _PEOPLE),
}
