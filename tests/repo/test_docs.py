"""The documentation is up to date, and its examples run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import etl
from docs import generate
from etl.cli.manual.pages import topics
from etl.codes import CODES
from etl.config import parse_event_mapping, parse_mapping
from tests.support.paths import ROOT

PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "sample_data/README.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def test_what_is_generated_is_up_to_date() -> None:
    """``python -m docs.generate`` writes it."""
    for path, text in generate.documents().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale"


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"(docs/{page.name})" not in readme] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for target in re.findall(r"`((?:tests|docs|etl|schemas)/[\w/]+\.\w+)`", text):
        assert (ROOT / target).exists(), f"{page.name} speaks of {target}"


@pytest.mark.parametrize("subject", ["row", "batch"])
def test_a_walk_is_read_downwards_once(subject: str) -> None:
    """Each step is one numbered line that begins with a module; no module comes twice, so nobody has to go back."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    (walk,) = re.findall(rf"(?ms)^## The life of a {subject}$(.*?)^## ", text)
    steps = re.findall(r"(?m)^(\d+)\. (\[[\w/.]+\]\(\.\./(\S+?)\))?", walk)
    assert [int(number) for number, _, _ in steps] == list(range(1, len(steps) + 1))
    paths = [path for _, _, path in steps]
    assert all((ROOT / path).is_file() for path in paths), paths
    assert len(set(paths)) == len(paths) > 10, "a module comes twice, or the walk is no walk"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mappings_in_examples_are_valid(page: Path) -> None:
    """Every TOML block is a mapping, or sections to add to one."""
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        document = tomllib.loads(re.sub(r"(?m)^   ", "", block))
        if "event" in document:
            parse_event_mapping(document, where=page.name)
        else:
            parse_mapping({"columns": {"Email": "email"}, **document}, where=page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_examples_compiles_and_knows_our_names(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        compile(block, page.name, "exec")
        for name in re.findall(r"\betl\.(\w+)\(", block):
            assert name in etl.__all__, f"{page.name} calls etl.{name}"


def test_every_commanded_hint_is_a_command() -> None:
    """What a message tells people to type exists."""
    from etl.cli.registry import COMMANDS  # noqa: PLC0415

    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "etl").rglob("*.py"))
    named = set(re.findall(r"klaviyo-etl (\w+)", sources + (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named - {"mapping"} <= set(COMMANDS)


def test_the_library_exports_what_it_says() -> None:
    for name in etl.__all__:
        assert getattr(etl, name) is not None
    assert set(CODES) == {code.id for code in CODES.values()}


def test_every_page_for_users_is_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert packed == {f"docs/{topic}.md": f"etl/pages/{topic}.md" for topic in topics()}
