"""Small charts as inline SVG; their colours come from the style sheet of the page, so that they follow its theme."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH = 960.0
ROW = 42.0  # height of a row of intervals
LABELS = 250.0  # width of their labels
MARGIN = 16.0
AXIS = 34.0  # height below the axis
LONGEST = 34  # characters of a label of a bar
BAR = 26.0  # height of a row of bars
BAR_TEXT = 190.0  # width of what stands behind them


@dataclass(frozen=True)
class Mark:
    """A value with its interval; `style` is the CSS class of what it belongs to."""

    style: str
    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class BarPart:
    """A piece of a bar; `style` is the CSS class of what it belongs to."""

    style: str
    name: str
    value: float


@dataclass(frozen=True)
class Scale:
    """Maps values to positions along one side of a chart."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def intervals(rows: Sequence[tuple[str, Sequence[Mark]]], low: float, high: float, digits: int) -> Markup:
    """A row of marks for each label: a dot for the value, a line from low to high."""
    ticks = nice_ticks(low, high, 6)
    scale = Scale(min(low, ticks[0]), max(high, ticks[-1]), LABELS, WIDTH - MARGIN)
    bottom = ROW * len(rows) + 8
    parts = [_tick_x(scale(tick), tick, 0, bottom) for tick in ticks]
    for number, (label, marks) in enumerate(rows):
        middle = ROW * (number + 0.5) + 4
        parts.append(_text(LABELS - 14, middle + 4, label, "label end"))
        step = 28 / max(1, len(marks))
        first = middle - step * (len(marks) - 1) / 2
        parts += [_mark(mark, scale, first + step * place, digits) for place, mark in enumerate(marks)]
    return _svg(parts, WIDTH, bottom + AXIS)


def line(points: Sequence[tuple[float, float]], name: str, style: str) -> Markup:
    """One curve over training steps, up to the last; `name` is its label, with the unit."""
    width, height, left, right = 460.0, 240.0, 52.0, 410.0  # the last value is to the right of the curve
    xs, ys = [x for x, _ in points], [y for _, y in points]
    ticks_x, ticks_y = ticks_up_to(max(xs), 5), nice_ticks(min(ys), max(ys), 5)
    x = Scale(0, max(xs), left, right)
    y = Scale(min(min(ys), ticks_y[0]), max(max(ys), ticks_y[-1]), height - AXIS, MARGIN)
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
    parts = [_tick_x(x(tick), tick, MARGIN, height - AXIS) for tick in ticks_x]
    parts += [_tick_y(y(tick), tick, left, right) for tick in ticks_y]
    parts.append(f'<polyline class="curve {style}" points="{path}"/>')
    a, b = points[-1]
    parts.append(f'<circle class="{style}" cx="{x(a):.1f}" cy="{y(b):.1f}" r="4"><title>{b:.4g}</title></circle>')
    parts.append(_text(x(a) + 9, y(b) + 4, f"{b:.3g}", "value"))
    return _svg(parts, width, height, name)


def bars(rows: Sequence[tuple[str, Sequence[BarPart], str]], *, shares: bool = False) -> Markup:
    """A bar for each label, of pieces one behind the other, and a text behind it; as shares all are equally long."""
    sums = [sum(part.value for part in parts) for _, parts, _ in rows]
    end = WIDTH - BAR_TEXT
    drawn = []
    for number, (label, parts, text) in enumerate(rows):
        top = BAR * number + 4
        scale = Scale(0, (sums[number] if shares else max(sums)) or 1, LABELS, end)
        drawn.append(_text(LABELS - 14, top + 13, _cut(label), "label end"))
        done = 0.0
        for part in parts:
            drawn.append(_piece(part, scale(done), scale(done + part.value), top))
            done += part.value
        drawn.append(_text((end if shares else scale(done)) + 10, top + 13, text, "tick"))
    return _svg(drawn, WIDTH, BAR * len(rows) + 4)


def columns(buckets: Sequence[tuple[str, float]], name: str, style: str) -> Markup:
    """A column for each bucket, with its label below and its value above; `name` says what is counted."""
    width, height, left = 460.0, 220.0, 8.0
    room = (width - 2 * left) / max(1, len(buckets))
    scale = Scale(0, max((value for _, value in buckets), default=0) or 1, height - AXIS, MARGIN + 8)
    parts = []
    for number, (label, value) in enumerate(buckets):
        x, y = left + room * (number + 0.12), scale(value)
        parts.append(
            f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{room * 0.76:.1f}" '
            f'height="{height - AXIS - y:.1f}" rx="2"><title>{escape(label)}: {value:,g}</title></rect>'
        )
        parts.append(_text(x + room * 0.38, height - AXIS + 16, label, "tick middle"))
        parts.append(_text(x + room * 0.38, y - 5, short(value), "tick middle"))
    return _svg(parts, width, height, name)


def short(value: float) -> str:
    """A number in a few digits: 950, 12.3k, 4.5M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _cut(label: str) -> str:
    """A label that fits in front of its bar."""
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"


def _piece(part: BarPart, start: float, end: float, top: float) -> str:
    title = escape(f"{part.name}: {part.value:,g}")
    size = f'x="{start:.1f}" y="{top:.1f}" width="{max(0.0, end - start):.1f}" height="{BAR - 9:g}"'
    return f'<rect class="{part.style}" {size}><title>{title}</title></rect>' if part.value else ""


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers that cover low to high, 1, 2 or 5 times a power of ten apart."""
    span = (high - low) or abs(high) or 1.0
    power = 10 ** math.floor(math.log10(span / count))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * count >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * number, 12) for number in range(first, max(last, first + 1) + 1)]


def ticks_up_to(last: float, count: int) -> list[float]:
    """About `count` round numbers from 0 on, and `last` itself in place of one that would be too near to it."""
    ticks = nice_ticks(0, last, count)
    return [tick for tick in ticks if tick <= last - ticks[1] / 2] + [last]


def _mark(mark: Mark, scale: Scale, y: float, digits: int) -> str:
    value, low, high = scale(mark.value), scale(mark.low), scale(mark.high)
    title = f"{mark.name}: {mark.value:.{digits}f} [{mark.low:.{digits}f}, {mark.high:.{digits}f}]"
    return (
        f'<g class="{mark.style}"><title>{escape(title)}</title>'
        f'<line class="interval" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<circle cx="{value:.1f}" cy="{y:.1f}" r="4.5"/></g>'
    )


def _tick_x(x: float, value: float, top: float, bottom: float) -> str:
    grid = f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
    return grid + _text(x, bottom + 18, f"{value:,g}", "tick middle")


def _tick_y(y: float, value: float, left: float, right: float) -> str:
    grid = f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return grid + _text(left - 8, y + 4, f"{value:,g}", "tick end")


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(parts: Sequence[str], width: float, height: float, name: str = "") -> Markup:
    label = f' aria-label="{escape(name)}"' if name else ""
    return Markup(f'<svg role="img"{label} viewBox="0 0 {width:g} {height:g}">{"".join(parts)}</svg>')
