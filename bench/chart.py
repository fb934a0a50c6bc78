"""Draws the first table as an SVG bar chart, readable on light and dark pages."""

from xml.sax.saxutils import escape

from bench.suite import Results, spread
from bench.system import OURS

WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 860, 150, 130, 26, 12, 62
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#1c2733}.t{font-size:17px;font-weight:600}.n{fill:#5b6b7b;font-size:12px}"
    ".b{fill:#9fb1c3}.o{fill:#0b7a75}.w{stroke:#1c2733;stroke-width:1.5}.l{stroke:#b3541e;stroke-dasharray:5 4}"
    "@media(prefers-color-scheme:dark){text{fill:#e4ebf2}.n{fill:#9fb1c3}.b{fill:#51657a}.o{fill:#2bb3ab}"
    ".w{stroke:#e4ebf2}}"
)


def draw(results: Results) -> str:
    """Return the chart of full durable executions per second: every system with its range, and pgbench's limit."""
    full = results["full"]
    names = sorted((n for n in full if n != "limit"), key=lambda n: -spread(full[n], "per_second").median)
    limit = sorted(full["limit"])[len(full["limit"]) // 2]
    most = max([limit, *(spread(full[n], "per_second").most for n in names)])
    scale = (WIDTH - LEFT - RIGHT) / most
    height = TOP + len(names) * (BAR + GAP) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Full durable executions per second"><style>{STYLE}</style>',
        '<text class="t" x="16" y="26">Full durable executions per second, two worker processes</text>',
        f'<text class="n" x="16" y="46">claim committed, result and status committed; fsync on; '
        f"{escape(results['where']['date'])}</text>",
    ]
    for number, name in enumerate(names):
        value, y = spread(full[name], "per_second"), TOP + number * (BAR + GAP)
        middle = y + BAR / 2
        parts += [
            f'<text x="{LEFT - 10}" y="{middle + 5}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{"o" if name == OURS.name else "b"}" x="{LEFT}" y="{y}" width="{value.median * scale:.1f}" '
            f'height="{BAR}" rx="3"/>',
            f'<line class="w" x1="{LEFT + value.least * scale:.1f}" x2="{LEFT + value.most * scale:.1f}" '
            f'y1="{middle}" y2="{middle}"/>',
            f'<text x="{LEFT + value.most * scale + 8:.1f}" y="{middle + 5}">{value.median:,.0f}</text>',
        ]
    x, bottom = LEFT + limit * scale, TOP + len(names) * (BAR + GAP)
    parts += [
        f'<line class="l" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom}"/>',
        f'<text class="n" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">pgbench, a commit for each step: '
        f"{limit:,.0f}</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
