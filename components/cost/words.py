"""Numbers and durations in few digits, for people."""


def short(number: float, unit: str = "") -> str:
    """Format a number with two or three digits: 4.0M, or with a unit 27 TFLOP."""
    letters = " kMGTPEZ" if unit else " kMBT"
    step = 0
    while number >= 999.5 and step < len(letters) - 1:
        number, step = number / 1000, step + 1
    digits = f"{number:.1f}" if number < 9.95 else f"{number:.0f}"
    letter = letters[step].strip()
    return f"{digits} {letter}{unit}" if unit else digits + letter


def duration(seconds: float) -> str:
    """Format a duration with two digits: 90 s, 1.6 min."""
    for size, unit, longest in ((1, "s", 90), (60, "min", 90 * 60), (3600, "h", 48 * 3600)):
        if seconds < longest:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds / 86400:.2g} days"
