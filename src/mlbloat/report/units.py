"""Numbers for people: the only place where figures are rounded."""

from mlbloat.model.report import LimitReport

NAMED = 5
"""Packages named in a sentence."""
_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: int | None) -> str:
    """Bytes in powers of 1000, as registries and docker print them: 1.64 GB. A dash for what is not known."""
    if count is None:
        return "-"
    value, unit = float(count), 0
    while abs(value) >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    if unit == 0:
        return f"{count} B"
    return f"{value:.{2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0}f} {_UNITS[unit]}"


def percent(ratio: float | None) -> str:
    """0.4 is 40.0 %; a dash where there is nothing to divide by."""
    return "-" if ratio is None else f"{100 * ratio:.1f} %"


def change(reduction_ratio: float | None) -> str:
    """0.4 is `40.0 % less`, and what grew says so."""
    if reduction_ratio is not None and reduction_ratio < 0:
        return f"{percent(-reduction_ratio)} more"
    return f"{percent(reduction_ratio)} less"


def count(number: int, noun: str) -> str:
    """Count with its noun: `1 file`, `2 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short_key(key: str) -> str:
    """A package's key without its location, which says little in a line: `pip:numpy`; a directory as it is."""
    return key if key.startswith("/") else key.rpartition("@")[0] or key


def limit_sentence(limit: LimitReport) -> str:
    """`max-bloat: 40.0 %, limit 30.0 %`, and the packages to look at."""
    measured, allowed = _apart(limit)
    named = ", ".join(map(short_key, limit.packages[:NAMED]))
    more = f" and {len(limit.packages) - NAMED} more" if len(limit.packages) > NAMED else ""
    return f"{limit.name}: {measured}, limit {allowed}" + (f"; see {named}{more}" if named else "")


def _apart(limit: LimitReport) -> tuple[str, str]:
    """Return both figures, with as many digits as tell them apart: a limit of 30.0 % is not exceeded by 30.0 %."""
    figures = (limit.measured, limit.limit)
    measured, allowed = (size(int(figure)) if limit.unit == "bytes" else percent(figure) for figure in figures)
    if measured != allowed or limit.measured == limit.limit:
        return measured, allowed
    if limit.unit == "bytes":
        return f"{limit.measured:,.0f} bytes", f"{limit.limit:,.0f} bytes"
    digits = next(
        (digits for digits in range(2, 15) if _percent(figures[0], digits) != _percent(figures[1], digits)), 15
    )
    return _percent(figures[0], digits), _percent(figures[1], digits)


def _percent(ratio: float, digits: int) -> str:
    return f"{100 * ratio:.{digits}f} %"
