"""The pages of documentation that travel with the program: one a topic, and what they say of a code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import etl
from etl.errors import UsageError

_HOME: Final = Path(etl.__file__).parent
_NOT_FOR_USERS: Final = ("architecture", "libraries")
_GENERATED: Final = re.compile(r"<!-- (?:begin|end)[^>]*-->\n?")
_CODE: Final = re.compile(r"`([a-z0-9-]+)`")
_LINK: Final = re.compile(r"\[[^\]]*\]\((\w+)\.md[^)]*\)")
_CELL_END: Final = re.compile(r"(?<!\\)\|")


def topics() -> dict[str, str]:
    """Return topic → the title of its page, by name."""
    pages = sorted(path for path in _folder().glob("*.md") if path.stem not in _NOT_FOR_USERS)
    return {path.stem: _title(path.read_text(encoding="utf-8")) for path in pages}


def page(topic: str) -> str:
    """Return the page of a topic, as Markdown. Raise :class:`UsageError` for none."""
    known = topics()
    if topic not in known:
        near = difflib.get_close_matches(topic.lower(), known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "The topics: klaviyo-etl docs"
        raise UsageError("topic-unknown", f"There is no page about {topic!r}", hint)
    return _GENERATED.sub("", (_folder() / f"{topic}.md").read_text(encoding="utf-8"))


def rows_about(code: str) -> list[tuple[str, dict[str, str]]]:
    """Return the rows of tables that say what a code is: topic, and header → cell. Raise :class:`UsageError`."""
    found = [(topic, row) for topic, row in _rows() if f"`{code}`" in "".join(list(row.values())[:2])]
    if not found:
        known = [name for topic, row in _rows() if topic == "codes" for name in _CODE.findall(row["code"])]
        near = difflib.get_close_matches(code.lower(), known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "All of them: klaviyo-etl docs codes"
        raise UsageError("code-unknown", f"There is no code {code!r}", hint)
    return sorted(found, key=lambda one: one[0] != "codes")


def plain(cell: str) -> str:
    """Return a cell of a page as a terminal shows it, without marks of Markdown."""
    return _LINK.sub(r"klaviyo-etl docs \1", cell).replace("`", "").replace("**", "")


def _rows() -> Iterator[tuple[str, dict[str, str]]]:
    for topic in topics():
        header: list[str] = []
        for line in page(topic).splitlines():
            if not line.startswith("|"):
                header = []
            elif not header:
                header = _cells(line)
            elif not line.startswith("|--"):
                yield topic, dict(zip(header, _cells(line), strict=False))


def _folder() -> Path:
    """Where the pages are: within the package, or beside it in a checkout."""
    installed = _HOME / "pages"
    return installed if installed.is_dir() else _HOME.parent / "docs"


def _title(text: str) -> str:
    return text.partition("\n")[0].lstrip("# ").strip()


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _CELL_END.split(line.strip().strip("|"))]
