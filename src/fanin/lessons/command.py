"""`fanin explain`: what is printed and written, given a topic and perhaps a model."""

from typing import Any

from fanin.errors import FaninValueError


def outputs(topic: str, trace: Any, page: bool, width: int, color: bool) -> tuple[str, str | None]:
    """The text for the terminal, and the page where one is asked for."""
    from fanin.explain import explain_page, explain_text, overview

    if not topic:
        if page or trace is not None:
            raise FaninValueError("name a topic to explain with a model or as a page; `fanin explain` lists them")
        return overview(width, color), None
    return explain_text(topic, width, color, trace), explain_page(topic, trace) if page else None
