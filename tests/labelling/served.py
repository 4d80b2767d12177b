"""The server of the labelling page as a process of its own, and requests to it."""

import contextlib
import http.client
import json
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support import ROOT

WAIT_S = 60.0


class Answer(NamedTuple):
    """The answer to a request."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A running `afsd label`."""

    def __init__(self, process: subprocess.Popen[str], port: int, token: str, said: str = ""):
        self.process, self.port, self.token = process, port, token
        self.said = said  # before the address
        self.origin = f"http://127.0.0.1:{port}"
        self.cookie = f"afsd_label_{port}={token}"

    def ask(
        self,
        path: str,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Sends a request with exactly these headers besides Host."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask(path, headers={"Cookie": self.cookie, **headers})

    def post(self, path: str, value: Any) -> Answer:
        headers = {
            "Cookie": self.cookie,
            "Origin": self.origin,
            "Content-Type": "application/json",
        }
        return self.ask(path, "POST", headers, json.dumps(value).encode())

    def video(self, number: int = 1) -> Any:
        return self.get(f"/api/videos/{number}").json

    @contextlib.contextmanager
    def events(self) -> "Iterator[Events]":
        """The events that another page receives while the block runs."""
        events = Events(self)
        try:
            yield events
        finally:
            events.close()

    def stop(self) -> int:
        """Ends it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(WAIT_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)


class Events:
    """The events that one page receives."""

    def __init__(self, served: Served):
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=WAIT_S)
        self._connection.request("GET", "/api/events", headers={"Cookie": served.cookie})
        self._response = self._connection.getresponse()
        self._response.readline()  # it listens now
        self._found: queue.Queue[Any] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            while line := self._response.readline():
                if line.startswith(b"data: "):
                    self._found.put(json.loads(line.removeprefix(b"data: ")))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)
        self._response.close()
        self._connection.close()

    def next(self, kind: str, wait_s: float = WAIT_S) -> Any:
        """Returns the next event of a kind."""
        while True:
            event = self._found.get(timeout=wait_s)
            if event["kind"] == kind:
                return event


@contextlib.contextmanager
def serving(*arguments: object) -> Iterator[Served]:
    """Runs `afsd label` with these arguments until the block ends."""
    command = [sys.executable, "-m", "afsd_jax.cli", "label", "--no-browser"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield _address(process)
    finally:
        process.kill()
        process.communicate()


def _address(process: subprocess.Popen[str]) -> Served:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        if line.startswith("http://127.0.0.1:"):
            port, _, token = line.removeprefix("http://127.0.0.1:").strip().partition("/?token=")
            return Served(process, int(port), token, said)
        said += line
    raise AssertionError(process.communicate())


def until(condition: Callable[[], Any], wait_s: float = WAIT_S) -> Any:
    """Returns the first true value of a condition that comes to be true."""
    end = time.monotonic() + wait_s
    while not (value := condition()):
        assert time.monotonic() < end, "it does not come to be true"
        time.sleep(0.05)
    return value


def segment(key: str, start: float, end: float, label: str = "run", note: str = "") -> dict:
    return {"id": key, "label": label, "start": start, "end": end, "note": note}


def rows(path: Path) -> list[list[str]]:
    """Returns the rows of a table without its header."""
    return [line.split(",") for line in path.read_text().splitlines()[1:]]
