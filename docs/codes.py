"""The table of codes in the README, from the checks themselves.

python docs/codes.py            prints it
python docs/codes.py --write    puts it into README.md, between its two markers
"""

import sys
from pathlib import Path

from fanin import checks

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- codes: written by docs/codes.py -->\n", "<!-- end of codes -->"


def table() -> str:
    """One row a check: its code, its name, its usual severity, and the first line of its explanation."""
    rows = [
        f"| {code} | {module.SLUG} | {module.SEVERITY} | {(module.__doc__ or '').strip().splitlines()[0]} |"
        for code, module in sorted(checks.ALL.items())
    ]
    return "\n".join(["| code | name | severity | what it says |", "|---|---|---|---|", *rows, ""])


def between(text: str) -> str:
    """What stands between the markers."""
    return text.partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        old = README.read_text(encoding="utf-8")
        README.write_text(old.replace(BEGIN + between(old), BEGIN + table()), encoding="utf-8")
    else:
        print(table(), end="")
