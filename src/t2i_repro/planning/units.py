"""Amounts in words: counts, bytes, time."""


def format_count(number: int) -> str:
    """`12,345`, `52.4 million` or `772 million`."""
    if number < 1_000_000:
        return f"{number:,}"
    return f"{number / 1e6:,.1f} million" if number < 1e8 else f"{number / 1e6:,.0f} million"


def format_size(number: float) -> str:
    """Bytes in decimal units."""
    for unit, divisor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= divisor:
            value = number / divisor
            return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    return f"{number / 1e3:.0f} kB"


def format_duration(time: float) -> str:
    """Seconds as days, hours, minutes or seconds."""
    for unit, length, least in (("days", 86_400, 2), ("h", 3600, 1), ("min", 60, 1)):
        if time >= least * length:
            return f"{time / length:,.1f} {unit}"
    return f"{time:.0f} s"


def format_hours(hours: float) -> str:
    """Hours with three digits."""
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"
