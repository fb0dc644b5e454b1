"""A plot as SVG: lines over a logarithmic axis. No library draws it, so none has to be installed."""

from html import escape
from math import log

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 640, 320, 70, 40, 110, 45
_COLOURS = ("#1f6feb", "#d1242f", "#1a7f37")


def svg(title, across, lines):
    """`lines` are points (count, microseconds) by name."""
    counts = sorted({count for points in lines.values() for count, _ in points})
    most = 1.15 * max(cost for points in lines.values() for _, cost in points)
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(count):
        return _LEFT + width * log(count / counts[0]) / (log(counts[-1] / counts[0]) or 1)

    def y(cost):
        return _TOP + height * (1 - cost / most)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
        ' font-size="12" fill="#57606a">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="22" font-size="14" fill="#24292f">{escape(title)}</text>',
    ]
    for step in range(5):
        cost = most * step / 4
        parts.append(
            f'<path d="M{_LEFT} {y(cost):.1f}H{_LEFT + width}" stroke="#d0d7de"/>'
            f'<text x="{_LEFT - 8}" y="{y(cost) + 4:.1f}" text-anchor="end">{cost:,.0f} µs</text>'
        )
    for count in counts:
        parts.append(f'<text x="{x(count):.1f}" y="{_TOP + height + 18}" text-anchor="middle">{count:,}</text>')
    parts.append(f'<text x="{_LEFT + width / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>')
    for (name, points), colour in zip(lines.items(), _COLOURS, strict=False):
        path = " ".join(f"{x(count):.1f},{y(cost):.1f}" for count, cost in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(count):.1f}" cy="{y(cost):.1f}" r="3" fill="{colour}"/>' for count, cost in points]
        last_x, last_y = x(points[-1][0]), y(points[-1][1])
        parts.append(f'<text x="{last_x + 8:.1f}" y="{last_y + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
