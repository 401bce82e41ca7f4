"""``[source]`` of the mapping: a file, or a query to a database."""

from __future__ import annotations

import itertools
import re
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from etl.config.base import ColumnName, Model

Parameter = bool | int | float | datetime | date | str
"""What a query can be given: TOML's own dates and times, or text that the database understands."""

_NAMED: Final = r"[A-Za-z_]\w*"
_REFERENCE: Final = r"\$\{(\w+)\}"
_VARIABLE: Final = r"(\$\{\w+\})+"
_ELSEWHERE: Final = r"[A-Za-z][\w+.-]*://|\$\{\w+\}$"
_LOGIN: Final = re.compile(r"[\w+.-]+://[^:/]*:(?P<password>[^@]*)@")
_SECRET_OPTION: Final = re.compile(
    r"[?&;][^=&;]*(?:passw|pwd|secret|token|signature|api_?key|sig(?==))[^=&;]*=(?P<value>[^&;]*)", re.IGNORECASE
)
_FILE_URL: Final = re.compile(
    r"(?P<scheme>(?:sqlite|duckdb)(?:\+\w+)?:///)(?P<path>(?!/|\$|:|file:|md:|[A-Za-z]:).+)", re.DOTALL
)


class SourceRule(Model):
    """Where the rows come from."""

    path: str | Annotated[list[str], Field(min_length=1)] | None = Field(
        None,
        description="File, pattern (exports/*.csv) or URL to read, or several of them; the command line's FILE wins",
    )
    encoding: str | None = Field(None, description="Encoding of a text file; default: detected")
    delimiter: str | None = Field(None, min_length=1, max_length=1, description="Cell delimiter; default: detected")
    quote: str | None = Field(
        None, max_length=1, description='Character around cells, "" for none; default: detected, mostly \'"\''
    )
    escape: str | None = Field(
        None, max_length=1, description='Character that protects the next one, "" for none; default: detected'
    )
    null_values: tuple[str, ...] | None = Field(
        None, description="Cells of a text file that are empty; default: \\N, as databases write NULL"
    )
    repair: bool | None = Field(None, description="What repair is for columns that do not say it themselves")
    sheet: str | Annotated[int, Field(ge=1)] | None = Field(
        None, description="Sheet of a spreadsheet, by name or number; default: the first that is filled and not hidden"
    )
    columns: Literal["same", "any"] = Field(
        "same", description="Whether several files must have the same columns, or a column that a file lacks is empty"
    )
    header_row: int | None = Field(
        None,
        ge=0,
        description="Row of a sheet, line of a text file, with the column names; 0: there is none; default: found",
    )
    skip_rows: int = Field(
        0, ge=0, description="Rows of a spreadsheet, lines of a text file, at the top that are left out"
    )
    skip_footer: int = Field(0, ge=0, description="Rows at the end that are left out; blank ones do not count")
    url: str | None = Field(
        None, repr=False, description="SQLAlchemy URL of a database; ${NAME} comes from the environment or .env"
    )
    query: str | None = Field(None, min_length=1, description="One SELECT with an ORDER BY")
    query_file: str | None = Field(None, min_length=1, description="File that holds the query")
    parameters: dict[Annotated[str, Field(pattern=f"^{_NAMED}$")], Parameter] = Field(
        {}, description="Values of the query's :parameters"
    )
    watermark: ColumnName | None = Field(
        None, min_length=1, description="Column of the query whose highest confirmed value the next run calls :since"
    )
    lookback: int | Annotated[str, Field(pattern=r"^[0-9]{1,6}[smhdw]$")] | None = Field(
        None, description="How far before the watermark :since is: a time such as 2h, or a number"
    )
    timeout: float | None = Field(None, gt=0, description="Seconds that the database may take to answer")
    variables: tuple[Annotated[str, Field(pattern=r"^\w+$")], ...] = Field(
        (), description="Variables of the environment or .env that path and url may hold as ${NAME}"
    )

    @field_validator("url", "path")
    @classmethod
    def _no_password(cls, given: str | list[str] | None) -> str | list[str] | None:
        # The mapping is kept in state and in each run's folder.
        for url in [given] if isinstance(given, str) else given or []:
            for found in (_LOGIN.match(url), *(_SECRET_OPTION.finditer(url) if "://" in url else ())):
                secret = found.groupdict().get("password", found.groupdict().get("value")) if found else ""
                if secret and not re.fullmatch(_VARIABLE, secret):
                    raise ValueError(
                        "it holds a password; write ${DB_PASSWORD} in its place and set that in the environment or .env"
                    )
        return given

    @field_validator("variables")
    @classmethod
    def _none_of_ours(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name.upper().startswith("KLAVIYO"):
                raise ValueError(f"{name} belongs to Klaviyo and never goes into the address of a source")
        return names

    @property
    def named_variables(self) -> tuple[str, ...]:
        """The variables that the addresses hold."""
        paths = [self.path] if isinstance(self.path, str) else self.path or []
        found = (name for text in (*paths, self.url or "") for name in re.findall(_REFERENCE, text))
        return tuple(dict.fromkeys(found))

    def paths_from(self, folder: Path | None) -> list[str]:
        """Return the files to read; those that are no URLs start from ``folder``."""
        given = [self.path] if isinstance(self.path, str) else self.path or []
        return [path if folder is None or re.match(_ELSEWHERE, path) else str(folder / path) for path in given]

    @field_validator("delimiter", "quote", "escape")
    @classmethod
    def _marks(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given in {"\r", "\n", "\0"}:
            raise ValueError("a line break or NUL is none")
        if info.field_name != "delimiter" and given and (given.isalnum() or given.isspace()):
            raise ValueError("a letter, a digit or a blank is none")
        return given

    @field_validator("lookback")
    @classmethod
    def _looks_back(cls, lookback: int | str | None) -> int | str | None:
        if isinstance(lookback, int) and lookback < 0:
            raise ValueError("a look-back is not negative")
        return lookback

    @model_validator(mode="after")
    def _different_marks(self) -> Self:
        given = [name for name in ("delimiter", "quote", "escape") if getattr(self, name)]
        for first, second in itertools.combinations(given, 2):
            if getattr(self, first) == getattr(self, second):
                raise ValueError(f"{first} and {second} are the same character; doubled quotes need no escape")
        return self

    @property
    def reads_text(self) -> bool:
        """Whether something is said of how a text file, or a table, is read."""
        options = (self.encoding, self.delimiter, self.quote, self.escape, self.null_values, self.header_row)
        return any(option is not None for option in options) or bool(self.skip_rows or self.skip_footer)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.header_row and self.skip_rows:
            raise ValueError("header_row says where the table begins; leave skip_rows out")
        if self.url is None:
            given = [name for name in _QUERY_KEYS if getattr(self, name) not in (None, {})]
            if given:
                raise ValueError(f"{given[0]} goes with url, which is missing")
            return self
        given = [name for name in _FILE_KEYS if getattr(self, name, None) not in (None, 0)]
        if given:
            raise ValueError(f"{given[0]} is for files; with url it does nothing")
        if (self.query is None) == (self.query_file is None):
            raise ValueError("with url, give either query or query_file")
        if self.lookback is not None and self.watermark is None:
            raise ValueError("lookback goes with watermark, which is missing")
        return self

    def based_on(self, folder: Path) -> Self:
        """Return the rule with the files of a query found from the folder of the mapping."""
        changes: dict[str, str] = {}
        if self.query_file is not None:
            changes["query_file"] = str(folder / self.query_file)
        if self.url is not None and (found := _FILE_URL.fullmatch(self.url)):
            path, mark, options = found["path"].partition("?")
            changes["url"] = f"{found['scheme']}{(folder / path).absolute()}{mark}{options}"
        return self.model_copy(update=changes) if changes else self


_QUERY_KEYS: Final = ("query", "query_file", "parameters", "watermark", "lookback", "timeout")
_FILE_KEYS: Final = (
    *("path", "encoding", "delimiter", "quote", "escape", "null_values", "sheet", "header_row", "skip_rows"),
    "skip_footer",
)
