"""Options that hold a length of time."""

from __future__ import annotations

from typing import Any, Final

import click

from etl.config.durations import seconds_of


class Duration(click.ParamType[float]):
    """A length of time such as ``26h``, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        if isinstance(value, float):
            return value
        try:
            return seconds_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION: Final = Duration()
