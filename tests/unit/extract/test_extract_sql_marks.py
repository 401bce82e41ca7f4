"""Watermarks: the highest value, less a look-back, held below what is not confirmed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import ConfigError, SourceError
from etl.extract.sql.cells import as_text
from etl.extract.sql.watermark import WatermarkTracker, clamp_to_confirmed, lower_bound, newest, value_of
from etl.model import Watermark

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
EAST = timezone(timedelta(hours=9))


def naive(*parts: int) -> datetime:
    """Return a moment without zone."""
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001


def keeper(*values: Any, zoned: bool = False) -> WatermarkTracker:
    kept = WatermarkTracker("at", 0, NOW, zoned=zoned)
    for value in values:
        kept.observe([(value,)])
    return kept


@pytest.mark.parametrize(
    ("values", "mark"),
    [
        ((3, 11, 7), Watermark("integer", "11")),
        ((Decimal(3), Decimal("11.00")), Watermark("integer", "11")),
        ((date(2026, 1, 2), date(2025, 12, 31)), Watermark("date", "2026-01-02")),
        ((naive(2026, 1, 2, 3, 4, 5, 6), naive(2026, 1, 1)), Watermark("datetime", "2026-01-02T03:04:05.000006")),
        ((datetime(2026, 1, 2, 5, tzinfo=EAST), None), Watermark("instant", "2026-01-01T20:00:00+00:00")),
        (("2026-01-02 03:04:05", "2026-01-02 03:04:04"), Watermark("text", "2026-01-02 03:04:05")),
        ((None, None), None),
    ],
)
def test_the_mark_is_the_highest_value(values: tuple[Any, ...], mark: Watermark | None) -> None:
    assert keeper(*values).mark == mark


def test_moments_that_a_session_in_utc_sends_without_zone_are_instants() -> None:
    assert keeper(naive(2026, 1, 2), zoned=True).mark == Watermark("instant", "2026-01-02T00:00:00+00:00")


@pytest.mark.parametrize(
    "values", [("abc",), (1.5,), (True,), (1, "2026-01-01"), (b"x",), ("infinity",), ("2026-1-1",)]
)
def test_what_has_no_order_to_go_by_is_refused(values: tuple[Any, ...]) -> None:
    with pytest.raises(SourceError) as caught:
        keeper(*values)
    assert caught.value.code == "watermark-type"
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    ("ahead", "sane"),
    [
        (datetime(9999, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, 13, tzinfo=UTC)),
        (naive(2026, 6, 3), naive(2026, 6, 2)),
        (date(2026, 6, 3), date(2026, 6, 2)),
        ("2026-06-03T00:00:00Z", "2026-06-02T23:00:00Z"),
    ],
)
def test_a_value_in_the_future_is_said_and_not_followed(ahead: Any, sane: Any) -> None:
    kept = keeper(ahead, sane, None)
    assert kept.mark is not None
    assert kept.mark.value == (sane if isinstance(sane, str) else sane.isoformat())
    assert [note.split(" rows")[0] for note in kept.notes] == ["1", "1"]


@pytest.mark.parametrize(
    ("mark", "lookback", "expected"),
    [
        (Watermark("integer", "100"), 30, 70),
        (Watermark("integer", "100"), None, 100),
        (Watermark("datetime", "2026-01-02T03:00:00"), "2h", naive(2026, 1, 2, 1)),
        (Watermark("instant", "2026-01-02T03:00:00+00:00"), "1w", datetime(2025, 12, 26, 3, tzinfo=UTC)),
        (Watermark("date", "2026-01-02"), "2h", date(2026, 1, 1)),
        (Watermark("date", "2026-01-02"), "2d", date(2025, 12, 31)),
        (Watermark("text", "2026-01-02 03:00:00"), "90s", "2026-01-02 02:58:30"),
        (Watermark("text", "2026-01-02T03:00:00.500000Z"), "1s", "2026-01-02T02:59:59.500000Z"),
        (Watermark("text", "2026-01-02T03:00:00+02:00"), "1d", "2026-01-01T03:00:00+02:00"),
        (Watermark("text", "2026-01-02"), "1s", "2026-01-01"),
        (Watermark("date", "0001-01-01"), "1d", date(1, 1, 1)),
    ],
)
def test_since_lies_a_look_back_before_the_mark(mark: Watermark, lookback: Any, expected: Any) -> None:
    assert lower_bound(mark, lookback) == expected
    assert type(lower_bound(mark, lookback)) is type(expected)


@pytest.mark.parametrize(
    ("mark", "lookback"), [(Watermark("integer", "5"), "2h"), (Watermark("date", "2026-01-01"), 5)]
)
def test_a_look_back_in_the_wrong_unit_is_refused(mark: Watermark, lookback: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        lower_bound(mark, lookback)
    assert caught.value.code == "lookback-unit"


MOMENTS = st.datetimes(naive(1990, 1, 1), naive(2026, 5, 31))
COLUMNS = st.one_of(
    st.lists(st.integers(-(10**12), 10**12), min_size=1),
    st.lists(MOMENTS, min_size=1),
    st.lists(MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)), min_size=1),
    st.lists(MOMENTS.map(datetime.date), min_size=1),
    st.lists(MOMENTS.map(lambda moment: moment.isoformat(sep=" ", timespec="seconds")), min_size=1),
)


@given(COLUMNS, st.data())
def test_a_held_mark_leaves_every_unconfirmed_row_to_be_read_and_goes_no_further_back(
    values: list[Any], data: st.DataObject
) -> None:
    mark = keeper(*values).mark
    assert mark is not None
    unconfirmed = data.draw(st.lists(st.sampled_from(values)))
    found = clamp_to_confirmed(mark, [as_text(value) for value in unconfirmed])
    value: Any = value_of(found.kind, found.value)
    assert all(cell > value for cell in unconfirmed)
    if unconfirmed:
        assert [cell for cell in values if cell < min(unconfirmed)] == [cell for cell in values if cell <= value]
    else:
        assert found == mark
    assert newest(found, mark) == mark
    assert newest(mark, found) == mark


def test_a_mark_of_another_kind_is_void() -> None:
    new = Watermark("integer", "5")
    assert newest(new, Watermark("date", "2026-01-01")) == new
    assert newest(new, None) == new
