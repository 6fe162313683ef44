"""The live page: what it lets in and out, what it streams, and how it looks in a browser while a study grows."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.lab.live.test_folder import begin, configs, end, study

from fanin.errors import FaninError, FaninValueError
from fanin.lab.store import Store

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "study", study()) as store:
        store.define(study(), configs())
        yield store


@pytest.fixture
def client(store: Store) -> Iterator[Any]:
    """Asks the application itself, with no network."""
    pytest.importorskip("httpx")
    from starlette.testclient import TestClient

    from fanin.lab.live import Watched
    from fanin.reports.live.app import application

    watched = Watched(store.folder)
    yield TestClient(application(watched), base_url="http://127.0.0.1:8765")
    watched.close()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The page's address, of a server in a thread of this process."""
    import uvicorn

    from fanin.lab.live import Watched
    from fanin.reports.live import address_of, listen
    from fanin.reports.live.app import application

    watched, listening = Watched(folder), listen("127.0.0.1", 0)
    app = application(watched, stopping=lambda: server.should_exit)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=3))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield address_of("127.0.0.1", listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(10)
        watched.close()
        assert not thread.is_alive()


def test_a_page_that_loads_nothing_from_elsewhere(client: Any) -> None:
    kinds = {
        "/": "html",
        "/watch.js": "javascript",
        "/figure.js": "javascript",
        "/report.css": "css",
        "/watch.css": "css",
    }
    for path, kind in kinds.items():
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(f"text/{kind}")
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in answer.text
        assert "innerHTML" not in answer.text
    page = client.get("/").text
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick" not in page


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.7:8765", "", "localhost.evil.example:8765"]
)
def test_other_names_are_refused(client: Any, host: str) -> None:
    """DNS rebinding: a page of somebody else's asks under its own name."""
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert client.get("/events", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "[::1]:8765", "LOCALHOST"])
def test_names_of_this_machine_are_not(client: Any, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 200


def test_nothing_can_be_sent(client: Any) -> None:
    assert client.post("/").status_code == 405
    assert client.post("/events").status_code == 405
    assert client.get("/../study.json").status_code == 404
    assert client.get("/study.sqlite").status_code == 404


def events(lines: Iterator[str], wanted: str) -> Any:
    """The data of the next event of that name."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: ") and name == wanted:
            return json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream ended")


def test_the_stream_tells_what_is_new_and_only_that(store: Store) -> None:
    httpx = pytest.importorskip("httpx")
    end(store, "fanin-30-0.01-0", 0.9)
    with served(store.folder) as address, httpx.stream("GET", f"{address}events?context=1", timeout=20) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert events(lines, "overview")["counts"]["done"] == 1
        first = events(lines, "runs")
        assert len(first) == 8  # of this context
        assert [(len(run["points"]), run["state"]) for run in first if run["points"]] == [(3, "done")]
        path = begin(store, "default-30-0.1-1", 2)
        assert [(run["plan"], run["from"], len(run["points"])) for run in events(lines, "runs")] == [("default", 0, 2)]
        with open(path, "a") as file:
            file.write('{"step":2,"held_score":0.25}\n')
        [run] = events(lines, "runs")
        assert (run["from"], run["points"], run["state"]) == (2, [[2, 0.25, None, None, None]], "running")


def test_serve_refuses_in_one_sentence(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanin.reports import live

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            FaninValueError, match=f"port={port} on 127.0.0.1 cannot be had .*; name another with --port"
        ):
            live.serve(store.folder, port=port)
    with pytest.raises(FaninValueError, match="port=70000 must be a whole number from 0 to 65535"):
        live.serve(store.folder, port=70000)
    with pytest.raises(FaninValueError, match="host='no.such.host.invalid' is no address of this machine"):
        live.serve(store.folder, host="no.such.host.invalid", port=0)
    with pytest.raises(FaninValueError, match="holds no study"):
        live.serve(tmp_path)
    monkeypatch.setattr(live, "NEEDED", ("starlette", "no_such_package"))
    with pytest.raises(FaninError, match=r"needs no_such_package; install with: pip install 'fanin\[watch\]'"):
        live.serve(store.folder)


@pytest.mark.browser
@pytest.mark.slow
def test_the_page_grows_in_a_browser(chromium: str, store: Store) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    end(store, "fanin-3-0.01-0", 0.9)
    with served(store.folder) as address, playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 390, "height": 900}, color_scheme="dark")
        wrong: list[str] = []
        page.on("console", lambda m: wrong.append(m.text))
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on("request", lambda r: None if r.url.startswith((address, "data:")) else wrong.append(r.url))
        page.goto(address)
        page.get_by_role("heading", name="1 of 16 runs done").wait_for(timeout=60_000)
        assert "no verdict" in page.locator("#detail").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        end(store, "fanin-3-0.01-1", 0.7)
        page.get_by_role("heading", name="2 of 16 runs done").wait_for(timeout=60_000)
        assert page.locator("#table tbody tr").nth(1).inner_text().split("\t")[3] == "0.8"
        assert page.locator("#score svg[role=img] path.line.c1.faint").count() == 2
        page.locator("#score svg[role=img]").focus()
        page.keyboard.press("ArrowLeft")
        assert page.locator("#score .tip").inner_text().split() == ["step", "2", "fanin:", "0.2", "(2", "runs)"]
        page.get_by_role("button", name="fanin").click()
        assert page.locator("#score svg[role=img] path.line.c1").count() == 0
        page.locator("#context").select_option("1")
        page.locator("#score .empty").wait_for(timeout=60_000)
        assert wrong == []
        browser.close()


def test_ctrl_c_ends_it(store: Store) -> None:
    """As a process of its own, while a page is open."""
    import signal
    import subprocess
    import sys

    code = f"from fanin.reports.live import serve; serve({str(store.folder)!r}, port=0, on_ready=lambda a: print(a, flush=True))"
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        address = server.stdout.readline().strip()
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as page:
            page.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            page.recv(100)
            begun = time.monotonic()
            server.send_signal(signal.SIGINT)
            _, said = server.communicate(timeout=20)
        assert (server.returncode, said) == (0, "")
        assert time.monotonic() - begun < 15
    finally:
        server.kill()
