"""Draws docs/images/score_against_seconds.svg from the table beside it. Standard library only."""

import csv
import pathlib

FOLDER = pathlib.Path(__file__).parent / "images"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 400, 64, 16, 40, 56
COLOURS = {"dense": "#0072b2", "patch": "#d55e00"}


def main():
    with open(FOLDER / "score_against_seconds.csv", encoding="ascii") as table:
        rows = list(csv.DictReader(table))
    most = 20 * (max(float(row["seconds"]) for row in rows) // 20 + 1)

    def x(value):
        return LEFT + (WIDTH - LEFT - RIGHT) * value / most

    def y(value):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - 0.4) / 0.5

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14">E. coli, unseen half: AP@0.5 against training '
        "time (threshold 0.8)</text>",
    ]
    for tick in range(4, 10):
        at = y(tick / 10)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tick / 10}</text>')
    for tick in range(0, int(most) + 1, 20):
        parts.append(
            f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 14}" text-anchor="middle">seconds on two '
        "idle cores (from steps per second)</text>"
    )
    for index, (mode, colour) in enumerate(COLOURS.items()):
        own = [row for row in rows if row["mode"] == mode]
        means = {}
        for row in own:
            means.setdefault(float(row["seconds"]), []).append(float(row["ap"]))
        line = " ".join(
            f"{x(at):.1f},{y(sum(values) / len(values)):.1f}" for at, values in sorted(means.items())
        )
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for row in own:
            parts.append(
                f'<circle cx="{x(float(row["seconds"])):.1f}" cy="{y(float(row["ap"])):.1f}" r="4" '
                f'fill="{colour}"/>'
            )
        parts.append(f'<rect x="{WIDTH - 120}" y="{TOP + 18 * index}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH - 102}" y="{TOP + 11 + 18 * index}">{mode}</text>')
    parts.append("</svg>")
    (FOLDER / "score_against_seconds.svg").write_text("\n".join(parts) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
