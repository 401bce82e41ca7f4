"""The report as a page: one file that needs nothing else, in which every text of a stranger stays text."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from typing import Any

import pytest

from etl.model import RunStatus
from etl.report import Phase, Report, Tally, build_report, render_html
from etl.report.html import commands, percent
from etl.state import Store
from tests.support.report_cases import every_outcome
from tests.support.state_backends import FakeClock


class Page(HTMLParser):
    """A page taken apart: its tags with their attributes, its text, its scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.code: dict[str, str] = {"script": "", "style": "", "title": ""}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "input", "br", "path"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag != "path":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        if inside in self.code:
            self.code[inside] += data
        else:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """The tags and the names of their attributes: what a hostile text must not change."""
        return [(tag, tuple(sorted(attributes))) for tag, attributes in self.tags]


@pytest.fixture
def report(store: Store, clock: FakeClock) -> Report:
    return build_report(store, every_outcome(store, clock))


def test_the_page_opens_with_the_addition(report: Report) -> None:
    page = Page(render_html(report))
    assert not page.open, "every tag is closed"
    words = page.words
    parts = "5 loaded 35.7 % + 2 unchanged 14.3 % + 2 duplicate 14.3 % + 2 rejected 14.3 % + 1 failed 7.1 %"
    assert f"14 rows read = {parts} + 2 unknown 14.3 %" in words
    assert words.index("rows read") < words.index("What to do next") < words.index("Sent to Klaviyo")


def test_the_chart_shows_each_outcome_at_its_share(report: Report) -> None:
    page = Page(render_html(report))
    (bar,) = [attributes for _, attributes in page.tags if attributes.get("class") == "bar"]
    assert bar["role"] == "img"
    assert bar["aria-label"] == "5 loaded, 2 unchanged, 2 duplicate, 2 rejected, 1 failed, 2 unknown"
    pieces = [attributes for tag, attributes in page.tags if tag == "span" and "title" in attributes]
    widths = [float(re.findall(r"width: ([\d.]+)%", str(each["style"]))[0]) for each in pieces]
    assert pieces[0]["title"] == "5 loaded, 35.7 %"
    assert sum(widths) == pytest.approx(100, abs=0.01)
    assert widths[0] == pytest.approx(100 * 5 / 14, abs=0.001)


def test_every_section_is_there(report: Report) -> None:
    words = Page(render_html(replace(report, parent="20270114-070000-bbbb"))).words
    for text in (
        f"klaviyo-etl rejects {report.run}",
        "rows are added to Newsletter: this gives no consent",
        "Not a valid phone number phone-invalid",
        "For example: 11 digits",
        "bulk import jobs",
        "job-1",
        "phone dropped",
        "first_name (1), properties.plan (1)",
        "1 min 12 s",
        "Maple Shop (AbC123)",
        "Newsletter (Y6nRLr, double opt in)",
        "2027-01-15 08:01:00 UTC",
        "20270114-070000-bbbb",
        "ab" * 32,
        "read as UTF-8",
    ):
        assert text in words, text


def test_the_issues_can_be_filtered_by_severity_and_words(report: Report) -> None:
    page = Page(render_html(report))
    severities = [attributes["data-severity"] for tag, attributes in page.tags if tag == "tr" and attributes]
    assert severities == ["error"] * 4 + ["warning"] * 4
    chips = [attributes["data-severity"] for tag, attributes in page.tags if tag == "button"]
    assert chips == ["", "error", "warning"]
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert ids >= set(re.findall(r'getElementById\("(\w+)"\)', page.code["script"]))
    assert "All 10 Errors 5 Warnings 5" in page.words


def test_the_page_needs_nothing_from_outside(report: Report) -> None:
    html = render_html(report)
    page = Page(html)
    for tag, attributes in page.tags:
        assert not {"src", "href", "srcset", "action", "background", "poster", "data"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "a", "source", "video"}
    assert not re.search(r"https?:|//[a-z]|url\(|@import|@font-face", html)
    assert not re.search(r"fetch|XMLHttp|import\(|eval|innerHTML|localStorage|cookie", page.code["script"])
    (policy,) = [attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes]
    assert str(policy).startswith("default-src 'none';")
    assert "http" not in str(policy)


HOSTILE = (
    "</title></style></script><script>alert(1)</script><img src=x onerror=alert(1)>\"' onload=x {{7*7}}{% raw %} &lt;"
)


def poisoned(value: Any, poison: str) -> Any:
    """The same report with every text that comes from outside replaced."""
    if isinstance(value, str) and type(value) is str:
        return poison
    if isinstance(value, tuple):
        return tuple(poisoned(each, poison) for each in value)
    if isinstance(value, dict):
        return {poison: poison}
    if is_dataclass(value) and not isinstance(value, type):
        kept = {"command"} if isinstance(value, Report) else {"verdict"}
        changed = {field.name: poisoned(getattr(value, field.name), poison) for field in fields(value)}
        return replace(value, **{name: each for name, each in changed.items() if name not in kept})
    return value


def test_every_text_of_a_stranger_stays_text(report: Report) -> None:
    """Headers, file names, list names, an account's name, Klaviyo's words: whatever they hold, the page is the same."""
    harmless = Page(render_html(poisoned(report, "x")))
    html = render_html(poisoned(report, HOSTILE))
    hostile = Page(html)
    assert hostile.shape == harmless.shape
    assert hostile.code["script"] == harmless.code["script"]
    assert hostile.code["style"] == harmless.code["style"]
    assert html.count("<script") == 1
    assert "49" not in hostile.words
    assert hostile.words.count(" ".join(HOSTILE.split())) > 20, "and it is shown as it is"


def test_a_file_that_is_named_like_a_script_is_a_title(report: Report) -> None:
    html = render_html(replace(report, source="/exports/<script>alert(1)</script>.csv"))
    assert "<script>alert" not in html
    assert "script&gt;.csv" in html


def test_a_command_in_a_sentence_is_set_as_code() -> None:
    text = "Do <b>: klaviyo-etl retry 20270115-080000-ab2c; klaviyo-etl run sends"
    assert commands(text) == (
        'Do &lt;b&gt;: <code class="command">klaviyo-etl retry 20270115-080000-ab2c</code>; '
        '<code class="command">klaviyo-etl run</code> sends'
    )


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.0 %"), (0.0001, "< 0.1 %"), (0.1, "0.1 %"), (50, "50.0 %"), (99.99, "> 99.9 %"), (100, "100.0 %")],
)
def test_a_share_is_never_rounded_to_nothing_or_everything(share: float, text: str) -> None:
    """One failed row of a million is not 0.0 %, and the others are not 100.0 %."""
    assert percent(share) == text


VERDICTS = [
    ({}, "warn", "Finished. 5 rows need a look; every row is accounted for."),
    ({"tally": Tally(3, 1, 0, 0, 2, 0, 0, 0)}, "warn", "Finished. 1 row needs a look"),
    ({"tally": Tally(3, 0, 0, 0, 3, 0, 0, 0)}, "warn", "but 2 read back from Klaviyo are not as they were sent"),
    ({"tally": Tally(3, 0, 0, 0, 3, 0, 0, 0), "observed": ()}, "good", "Finished. Every row is accounted for."),
    ({"tally": Tally(3, 0, 0, 0, 1, 0, 0, 2), "status": RunStatus.LOADING}, "bad", "This run is unfinished: 2 rows"),
    ({"status": RunStatus.REFUSED}, "bad", "This run is stopped by a guard"),
    ({"tally": Tally(9, 0, 0, 0, 1, 0, 0, 0)}, "bad", "The sum does not tie"),
]


@pytest.mark.parametrize(("changes", "look", "text"), VERDICTS)
def test_the_verdict_is_the_results(changes: dict[str, Any], look: str, text: str, report: Report) -> None:
    html = render_html(replace(report, **changes))
    assert f'class="verdict {look}"' in html
    assert text in Page(html).words


def test_a_run_of_nothing_is_a_page_too(report: Report) -> None:
    nothing = Tally(0, 0, 0, 0, 0, 0, 0, 0)
    bare = replace(report, tally=nothing, issues=(), batches=(), jobs=(), observed=(), notes=(), next_steps=())
    page = Page(render_html(replace(bare, phases=(Phase("stage", 0.0, 0),), account=None, lists=(), source="")))
    assert "0 rows read" in page.words
    assert "Issues none" in page.words
    assert not [tag for tag, _ in page.tags if tag == "button"]


# --- looks ------------------------------------------------------------------------------------------------------------


def themes(html: str) -> tuple[dict[str, str], dict[str, str]]:
    """The colours of the light and the dark theme."""
    light, dark = re.findall(r":root \{(.*?)\}", Page(html).code["style"], re.DOTALL)[:2]
    return dict(re.findall(r"--([\w-]+): (#\w{6})", light)), dict(re.findall(r"--([\w-]+): (#\w{6})", dark))


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read_in_light_and_dark(report: Report) -> None:
    light, dark = themes(render_html(report))
    assert set(light) == set(dark)
    for theme in (light, dark):
        pairs = [(ink, ground) for ink in ("ink", "soft") for ground in ("paper", "card", "well")]
        pairs += [(name, f"{name}-tint") for name in ("good", "warn", "bad")]
        for ink, ground in pairs:
            assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)


def test_the_page_knows_phones_paper_and_the_dark(report: Report) -> None:
    page = Page(render_html(report))
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    assert ("meta", {"name": "color-scheme", "content": "light dark"}) in page.tags
    for rule in ("prefers-color-scheme: dark", "max-width: 44rem", "@media print"):
        assert rule in page.code["style"]
    tables = [attributes.get("class") or "" for tag, attributes in page.tags if tag == "table"]
    assert tables
    assert all("stack" in name for name in tables), "each turns into cards on a phone"
