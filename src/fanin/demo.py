"""`fanin demo`: the whole path on one model, in about a minute."""

import time

from rich.text import Text

from fanin.reports.files import write_file
from fanin.reports.rich_parts import render

TARGET = "fanin.demo_torch:deep_relu"
INITS = ("default", "he_normal", "fanin")
EPOCHS = 15


def run(html: str, seeds: int, width: int, color: bool) -> int:
    """Checks, fixes and compares the demo's model, prints each step, writes the page; returns the exit status."""
    import fanin
    from fanin.commands import busy, elapsed, show
    from fanin.demo_torch import LAYERS, WIDTH, deep_relu, seeded
    from fanin.reports.html import report_html
    from fanin.reports.terminal import comparison_text, fixed_text, report_text
    from fanin.targets.torch import read_inputs

    start = time.perf_counter()

    def step(number: int, title: str, command: str) -> None:
        lines = [Text(f"{number}/3  {title}", style="bold"), Text(f"     $ {command}", style="dim"), Text()]
        show(render(lines, width, color))
        show("")

    step(1, f"Check: {LAYERS} ReLU layers, {WIDTH} wide, as PyTorch draws them", f"fanin check {TARGET} --batch digits")
    model = seeded()
    inputs = read_inputs(model, "digits", None, None)
    with busy("watching one pass"):
        report = fanin.check(model, *inputs, target=TARGET)
    show(report_text(report, width, color))
    show("")

    step(2, "Fix: draw better weights, and measure again", f"fanin fix {TARGET} --batch digits")
    with busy("choosing, drawing, measuring"):
        fixed = fanin.fix(model, *inputs, target=TARGET)
    show(fixed_text(fixed, width, color))
    show("")

    options = f"--inits {','.join(INITS)} --data digits --seeds {seeds}"
    step(3, f"Compare: train each from {seeds} seeds", f"fanin compare {TARGET} {options}")
    result = fanin.compare(deep_relu, inits=INITS, data="digits", seeds=seeds, epochs=EPOCHS)
    show(comparison_text(result, width, color))

    path = write_file(html, report_html(fixed.before, fixed, result)).resolve()
    show(
        f"\nThe whole report, for the browser: {path}\nDone in {elapsed(start)}. Next, your own model: fanin check your_file.py:build"
    )
    return 0
