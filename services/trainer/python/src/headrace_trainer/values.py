"""How a value is written as a category, the same in baseline, groups and golden rows."""

from __future__ import annotations

MISSING_GROUP = "(missing)"
OTHER_CATEGORY = "(other)"


def render_number(value: float) -> str:
    """Whole numbers without a point ("1"); others by the shortest digits of the double, as JavaScript prints them."""
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)
