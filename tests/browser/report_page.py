"""Opens a report in a headless browser: every figure is there, slider and keyboard work, the console is silent, and no
request leaves the page.

    report_page.py SEPTUM FOLDER [--frames N]

77 is the exit status where there is no Chromium.
"""

import argparse
import csv
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import devtools

FIGURES = (
    "growth_curves", "growth_rates", "growth_rate_over_time", "instantaneous_growth",
    "instantaneous_growth_with_divisions", "added_length", "cell_cycles", "growth_map", "lineage_tree",
    "learning_curves",
)  # fmt: skip
SECTIONS = ("movie", "growth", "map", "lineage", "audit", "training", "scores", "provenance")
PER_PAGE_BYTES = 20_000_000
problems = []


def expect(holds, what):
    print(("ok       " if holds else "PROBLEM  ") + what)
    if not holds:
        problems.append(what)


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")


def write_links(simulated, path):
    """True links in the format of links.csv: what moves on, and what divides."""
    with open(simulated / "lineage.csv") as file:
        cells = {int(row["id"]): row for row in csv.DictReader(file)}
    lines = ["source_frame,source_label,target_frame,target_label,kind"]
    divided = set()
    for number, cell in sorted(cells.items()):
        first, last, parent = int(cell["first_frame"]), int(cell["last_frame"]), int(cell["parent"])
        if parent and int(cells[parent]["last_frame"]) == first - 1:
            lines.append(f"{first - 1},{parent},{first},{number},{'split' if parent in divided else 'link'}")
            divided.add(parent)
        # One link is left out, so that the audit has something to show.
        lines += [f"{f},{number},{f + 1},{number},link" for f in range(first, last) if (number, f) != (2, 3)]
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n")


def write_probability(path, height, width):
    """Three pages of floats: edge, interior, background."""
    pages = b""
    directories = []
    offset = 8
    for level in (0.1, 0.7, 0.2):
        values = [level * (1 - column / width / 2) for column in range(width)]
        data = struct.pack(f"<{width}f", *values) * height
        directories.append((offset, len(data)))
        pages += data
        offset += len(data)
    out = struct.pack("<2sHI", b"II", 42, offset) + pages
    for k, (start, size) in enumerate(directories):
        tags = [(256, 3, width), (257, 3, height), (258, 3, 32), (259, 3, 1), (262, 3, 1), (273, 4, start), (277, 3, 1),
                (278, 3, height), (279, 4, size), (339, 3, 3)]  # fmt: skip
        entry = struct.pack("<H", len(tags))
        for tag, kind, value in tags:
            entry += struct.pack("<HHII", tag, kind, 1, value)
        offset += len(entry) + 4
        out += entry + struct.pack("<I", offset if k < 2 else 0)
    path.write_bytes(out)


def make_report(septum, folder, frames):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    simulated = folder / "simulated"
    side = 160
    run(septum, "simulate", "bacteria", "--frames", frames, "--size", f"{side}x{side}", "--out", simulated, "--seed", 5,
        "--quiet")  # fmt: skip
    results = folder / "results"
    labels = results / "cells" / "labels"
    labels.mkdir(parents=True)
    maps = results / "cells" / "probabilities"
    maps.mkdir()
    images = folder / "images"
    images.mkdir()
    for k, (truth, image) in enumerate(
        zip(sorted((simulated / "truth").iterdir()), sorted((simulated / "frames").iterdir()))
    ):
        shutil.copy(truth, labels / f"t{k:03}.tif")
        shutil.copy(image, images / f"t{k:03}.tif")
        write_probability(maps / f"t{k:03}.tif", side, side)
    write_links(simulated, results / "tracks" / "links.csv")
    rows = [f"0,{e},0.01,{1 / (e + 1)},0.9,{1.2 / (e + 1)},0.88,1.5,1000" for e in range(8)]
    header = "net,epoch,rate,training_loss,training_accuracy,validation_loss,validation_accuracy,seconds,patches"
    (results / "bacteria.curves.csv").write_text("\n".join([header, *rows]) + "\n")
    (results / "scores.json").write_text(json.dumps({"ap": {"0.5": 0.9}, "seg": 0.8, "cells": 12}))
    run(septum, "report", results, "--images", images, "--interval", 5, "--quiet")
    return results / "report.html"


def make_nuclear_report(septum, folder):
    """Bright nuclei, whose rings stand for the cytoplasm; no tracks."""
    simulated = folder / "nuclei"
    run(septum, "simulate", "nuclei", "--frames", 3, "--size", "200x200", "--out", simulated, "--seed", 5, "--quiet")
    results = folder / "nuclear_results"
    labels = results / "labels"
    labels.mkdir(parents=True)
    images = folder / "nuclear_images"
    images.mkdir()
    for k, (truth, image) in enumerate(
        zip(sorted((simulated / "truth").iterdir()), sorted((simulated / "frames").iterdir()))
    ):
        shutil.copy(truth, labels / f"t{k:03}.tif")
        shutil.copy(image, images / f"t{k:03}.tif")
    run(septum, "report", results, "--images", images, "--nuclei", labels, "--reporter", "channel0", "--quiet")
    return results / "report.html"


def check_page(browser, sections, figures):
    for section in sections:
        expect(browser.value(f"!!document.querySelector('h2#{section}')"), f"section {section}")
    for figure in figures:
        seen = browser.value(
            f"(function(){{var f=document.getElementById('figure-{figure}');if(!f)return '';"
            "var b=f.querySelector('svg').getBoundingClientRect();"
            "return b.width>200&&b.height>60&&f.querySelectorAll('path,rect,circle').length>2?'drawn':'empty'})()"
        )
        expect(seen == "drawn", f"figure {figure} {seen}")
    loaded = "Array.from(document.images).filter(i=>i.getAttribute('src')&&!(i.complete&&i.naturalWidth>0)).length"
    expect(browser.value(loaded) == 0, "every picture is decoded")
    wide = "document.documentElement.scrollWidth-document.documentElement.clientWidth"
    expect(browser.value(wide) <= 0, "nothing is wider than the window")


def check_controls(browser, frames):
    where = "document.getElementById('where').textContent"
    source = "document.getElementById('image').src"
    first = browser.value(source)
    expect(browser.value(where).startswith("frame 0 of"), "starts at the first frame")
    browser.press("ArrowRight")
    expect(browser.value(where).startswith("frame 1 of"), "arrow key: next frame")
    expect(browser.value(source) != first, "the picture follows")
    browser.press("End")
    expect(browser.value(where).startswith(f"frame {frames - 1} of"), "End: last frame")
    cells = browser.value("document.querySelectorAll('#cells path').length")
    browser.press("Home")
    expect(browser.value("document.querySelectorAll('#cells path').length") != cells, "the outlines follow")
    browser.value(
        "(function(){var s=document.getElementById('slider');s.value=3;s.dispatchEvent(new Event('input'))})()"
    )
    expect(browser.value(where).startswith("frame 3 of"), "slider: frame 3")
    browser.value("document.getElementById('slider').focus()")
    browser.press("ArrowRight")
    expect(browser.value(where).startswith("frame 4 of"), "arrow key on the slider: one frame, not two")
    browser.value("document.activeElement.blur()")
    for key, what in (("o", "outlines"), ("g", "growth"), ("p", "probability")):
        pressed = f"document.getElementById('show-{what}').getAttribute('aria-pressed')"
        before = browser.value(pressed)
        browser.press(key, text=key)
        expect(browser.value(pressed) != before, f"key {key}: {what}")
        browser.press(key, text=key)
        expect(browser.value(pressed) == before, f"key {key} again: {what}")
    before = browser.value("getComputedStyle(document.body).backgroundColor")
    browser.press("t", text="t")
    browser.wait(0.1)
    expect(browser.value("getComputedStyle(document.body).backgroundColor") != before, "key t: light and dark")
    browser.press("t", text="t")
    browser.press("Home")
    browser.press(" ", code="Space", text=" ")
    browser.wait(1.0)
    expect(not browser.value(where).startswith("frame 0 of"), "Space: plays")
    browser.press(" ", code="Space", text=" ")
    place = browser.value(
        "(function(){var p=document.querySelector('#cells path');"
        "p.scrollIntoView({behavior:'instant',block:'center'});var b=p.getBoundingClientRect();"
        "return [b.left+b.width/2,b.top+b.height/2]})()"
    )
    browser.click(*place)
    track = browser.value("document.getElementById('cell-track').textContent")
    expect(track != "none", f"a click on a cell chooses its track ({track})")
    expect(
        browser.value("document.querySelectorAll('#figure-growth_curves .picked[data-track]').length") == 1,
        "its growth curve stands out",
    )
    browser.press("Escape")
    expect(browser.value("document.getElementById('cell-track').textContent") == "none", "Escape: no cell")
    wanted = browser.value("document.querySelector('#gallery button').getAttribute('data-frame')")
    browser.value("document.querySelector('#gallery button').click()")
    expect(browser.value(where).startswith(f"frame {wanted} of"), "a crop leads to its frame")
    browser.press("Escape")


def check_silence(browser, addresses):
    noise = [
        event for event in browser.events
        if event["method"] == "Runtime.exceptionThrown"
        or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error")
        or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in ("error", "warning"))
    ]  # fmt: skip
    expect(not noise, f"silent console {noise[:2] if noise else ''}")
    asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    outside = [url for url in asked if url not in addresses and not url.startswith(("data:", "blob:", "about:"))]
    expect(not outside, f"no request leaves the page {outside[:3] if outside else ''}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("septum", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--page", type=Path, help="only take pictures of this page")
    given = parser.parse_args()
    path = devtools.find_browser()
    if path is None:
        print("skipped: no Chromium (Debian's package chromium)")
        sys.exit(77)
    page = given.page or make_report(given.septum.resolve(), given.folder, given.frames)
    given.folder.mkdir(parents=True, exist_ok=True)
    address = page.resolve().as_uri()
    size = page.stat().st_size
    expect(size < PER_PAGE_BYTES, f"{size} bytes")
    browser = devtools.Browser(path)
    try:
        browser.open(address)
        if given.page is None:
            check_page(browser, SECTIONS, FIGURES)
            crops = browser.value("document.querySelectorAll('#gallery img').length")
            expect(crops > 0, f"{crops} crops in the audit gallery")
            check_controls(browser, given.frames)
        browser.press("End")
        browser.value("window.scrollTo(0,0)")
        for theme in ("light", "dark"):
            browser.call(
                "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}], media=""
            )
            browser.value("document.documentElement.removeAttribute('data-theme')")
            browser.wait(0.2)
            browser.picture(given.folder / f"{theme}.png")
        dark = browser.value("getComputedStyle(document.body).backgroundColor")
        expect(dark == "rgb(20, 23, 26)", f"dark where the reader's system is dark ({dark})")
        browser.printed(given.folder / "print.pdf")
        expect((given.folder / "print.pdf").stat().st_size > 10_000, "prints")
        check_silence(browser, {address})
        if given.page is None:
            other = make_nuclear_report(given.septum.resolve(), given.folder)
            browser.events.clear()
            browser.open(other.resolve().as_uri())
            check_page(browser, ("movie", "localisation", "provenance"), ("translocation",))
            browser.picture(given.folder / "nuclei.png")
            check_silence(browser, {other.resolve().as_uri()})
    finally:
        browser.close()
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
