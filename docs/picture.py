"""The picture at the head of the README: the top of the demo's report, as Chromium shows it.

    python docs/picture.py [REPORT.html]        runs `fanin demo` first where no report is named

Needs Chromium and playwright (`pip install -c constraints.txt -e '.[dev]'`).
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent / "images" / "report.png"
WIDTH, SCALE = 1100, 1.5
MARGIN = 24  # below the last figure


def screenshot(report: Path) -> None:
    """Writes the picture of a report, in light colours, down to the end of the signal's figures."""
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": WIDTH, "height": 800}, device_scale_factor=SCALE, color_scheme="light"
        )
        page.goto(report.resolve().as_uri())
        end = page.evaluate("document.querySelector('#signal').getBoundingClientRect().bottom")
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": end + MARGIN})
        browser.close()


def main() -> None:
    """The picture of the report that is named, or of a fresh demo."""
    if len(sys.argv) > 1:
        screenshot(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "demo.html"
        subprocess.run([sys.executable, "-m", "fanin", "demo", "--html", str(report)], check=True)
        screenshot(report)


if __name__ == "__main__":
    main()
