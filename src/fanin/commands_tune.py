"""What `fanin tune` does."""

import json
from typing import Any

from fanin.commands import build_fresh, busy, say, show, terminal, user_output, writable, written
from fanin.errors import FaninValueError
from fanin.targets.models import load_target


def tune(target: str, data: str, format: str, html: str | None, save_plan: str | None, options: dict[str, Any]) -> int:
    """`fanin tune`: always 0; nothing is recommended that fresh seeds do not confirm."""
    from fanin.lab.inits import split_names
    from fanin.lab.tuning import tune as search
    from fanin.lab.tuning import winning_plan

    writable({"--html": html, "--save-plan": save_plan}, {"TARGET": target.rpartition(":")[0]})
    place = load_target(target)
    if not place.fresh:
        raise FaninValueError(
            f"TARGET={target!r} is one model; tune needs a function that returns a new one at each call"
        )
    names = split_names(options.pop("inits"))
    inits = names if "default" in names else ["default", *names]
    gains, biases = (_numbers(f"--{name}", options.pop(name)) for name in ("gains", "biases"))
    lrs = options.pop("lrs")
    rates = None if lrs is None else _numbers("--lrs", lrs)
    with busy("searching"), user_output():
        result = search(build_fresh(place), data, inits=inits, gains=gains, biases=biases, lrs=rates, **options)
    if html:
        from fanin.reports.tuned import tuning_html

        written(html, tuning_html(result))
    if format == "json":
        show(json.dumps(result.to_dict(), allow_nan=False))
    else:
        from fanin.reports.tuned import tuning_text

        show(tuning_text(result, *terminal()))
    if save_plan:
        plan = winning_plan(result, build_fresh(place), data)
        if plan is None:
            say("no plan was written: the winner keeps the model's own weights")
        else:
            plan.save(save_plan)
            told = "" if result.recommended else ", of what the search preferred and the fresh seeds did not confirm"
            say(
                f"wrote {save_plan}{told}; to see it again: fanin compare {target} --inits default,{save_plan} --data {data}"
            )
    return 0


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise FaninValueError(f"{option}={text!r} must be numbers with commas between") from None
