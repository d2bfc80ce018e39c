"""A loopback server that answers each request as a script says: what a broken store, proxy or network does to a client."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

request_seconds_max: Final = 10


@dataclass(frozen=True)
class Answer:
    """One scripted answer. `body` is sent as it is; `announced` is the Content-Length, by default the true one."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None


@dataclass(frozen=True)
class Hang:
    """The request is read whole, then nothing comes for so long."""

    seconds: float


class Drop:
    """The request is read whole, and the connection closed without a word."""


class Garbage:
    """Bytes that are no HTTP."""


Step = Answer | Hang | Drop | Garbage


@dataclass(frozen=True)
class Seen:
    """One request as it came: first line, headers with lower-case names, body."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Script:
    """A running server: its URL, and what it has seen."""

    url: str
    seen: list[Seen] = field(default_factory=list)


def xml_error(status: int, code: str, message: str = "no reason given") -> Answer:
    """An S3 error reply."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return Answer(status, body, {"Content-Type": "application/xml"})


@contextmanager
def scripted(*steps: Step) -> Iterator[Script]:
    """Answer the n-th request with the n-th step; past the end the last step is repeated."""
    with _Server(("127.0.0.1", 0), steps) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.script
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], steps: tuple[Step, ...]) -> None:
        super().__init__(address, _Handler)
        self.steps = steps
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.script = Script(f"http://127.0.0.1:{self.server_address[1]}")

    def next_step(self, seen: Seen) -> Step:
        with self.lock:
            number = len(self.script.seen)
            self.script.seen.append(seen)
        return self.steps[min(number, len(self.steps) - 1)]


class _Handler(socketserver.StreamRequestHandler):
    """One request per connection: nothing of one test's answer can reach the next request."""

    server: _Server
    timeout = request_seconds_max

    def handle(self) -> None:
        line = self.rfile.readline().decode().strip()
        if not line:
            return
        headers = self._headers()
        if headers.get("expect") == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self._play(self.server.next_step(Seen(line, headers, body)))

    def _headers(self) -> dict[str, str]:
        found = {}
        while text := self.rfile.readline().decode().strip():
            name, _, value = text.partition(":")
            found[name.lower()] = value.strip()
        return found

    def _play(self, step: Step) -> None:
        if isinstance(step, Hang):
            self.server.stopping.wait(step.seconds)
        elif isinstance(step, Garbage):
            self.wfile.write(b"\x00\x01 this is no HTTP \xff\r\n\r\n")
        elif isinstance(step, Answer):
            self._answer(step)
        self.request.shutdown(socket.SHUT_WR)

    def _answer(self, answer: Answer) -> None:
        announced = len(answer.body) if answer.announced is None else answer.announced
        headers = {"Content-Length": str(announced), "Connection": "close", **answer.headers}
        if "Transfer-Encoding" in answer.headers:
            del headers["Content-Length"]
        lines = [
            f"HTTP/1.1 {answer.status} scripted",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body)
