"""How numbers and chains are printed: percentages and points exist only here; everything else holds fractions."""

from __future__ import annotations

from tasearch.domain.result import Interval

MISSING = "–"


def percent(fraction: float | None) -> str:
    """Return `70.6%`, or a dash for a number that does not exist yet."""
    return MISSING if fraction is None else f"{100 * fraction:.1f}%"


def percents(low: float | None, high: float | None) -> str:
    """Return `95% interval [70.2%, 71.0%]`, or `no interval`."""
    return "no interval" if low is None or high is None else f"95% interval [{percent(low)}, {percent(high)}]"


def points(difference: float) -> str:
    """Return a difference of two fractions as signed percentage points, `+0.9`."""
    return f"{100 * difference:+z.1f}"


def interval(value: Interval | None) -> str:
    """Return `+0.9 [+0.4, +1.4]`, the difference in points with its bounds; without bounds where n < 2."""
    if value is None:
        return MISSING
    if value.low is None or value.high is None:
        return f"{points(value.mean)} [no interval]"
    return f"{points(value.mean)} [{points(value.low)}, {points(value.high)}]"


def plus_minus(value: Interval | None) -> str:
    """Return a mean accuracy with half of its symmetric interval, `70.6 ± 0.4%`; the mean alone without one."""
    if value is None:
        return MISSING
    return (
        percent(value.mean)
        if value.high is None
        else f"{100 * value.mean:.1f} ± {100 * (value.high - value.mean):.1f}%"
    )


def number(value: float | None) -> str:
    """Return a number with three digits at most for a column (`0.5`, `16`, `1,230`), or a dash for none."""
    if value is None:
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def seconds(value: float | None) -> str:
    """Return seconds for a column, all with one decimal so that they align: `1,230.0`, `8.9`; a dash for none."""
    return MISSING if value is None else f"{value:,.1f}"


def milliseconds(value: float | None) -> str:
    """Return seconds as milliseconds with three digits, without the unit: `0.214`, `12.3`, `1,230`; a dash for none."""
    return MISSING if value is None else number(1000 * value)


def mean_std(mean: float, std: float | None) -> str:
    """Return `70.6 ± 0.4%`, or `70.6%` where there is no standard deviation."""
    return percent(mean) if std is None else f"{100 * mean:.1f} ± {100 * std:.1f}%"


def settings(values: tuple[float, ...]) -> str:
    """Return one number where all stages share it (`4`), else one per stage in path order (`8 / 4`)."""
    shown = values[:1] if len(set(values)) == 1 else values
    return " / ".join(f"{value:g}" for value in shown)


def short_count(number: int) -> str:
    """Return a count with three digits at most: `872`, `37.3k`, `2.49M`."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)


def duration(seconds: float) -> str:
    """Return a time as people say it: `42 s`, `12 min 3 s`, `3 h 5 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def plural(number: int, noun: str) -> str:
    """Return `1 stage` or `2 stages`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def printable(text: str) -> str:
    """Return the text without control characters, so that no name can drive the reader's terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def from_python(command: str) -> str:
    """Return what a reader of a command has to know where it names objects that no other process has, or nothing."""
    if "object:" not in command:
        return ""
    return (
        "This study was given objects of a Python program, which `object:NAME` stands for: the commands of this report "
        "are its settings, to be repeated from Python by tasearch.optimize with the same objects."
    )
