"""A web server of a test's own on the loopback interface: it answers what the test says, in order."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """One answer; `declared`: the length that its header says, where that is not the body's; seconds to wait."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    declared: int | None = None
    before: float = 0.0
    between_bytes: float = 0.0
    etag: str | None = None


class WebServer:
    """Answers each request with the next answer, the last one again and again; remembers what was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[Answer] = []
        self.asked: list[dict[str, str]] = []

    def serve(self, *answers: Answer | bytes) -> None:
        """What is answered from now on."""
        self.answers = [answer if isinstance(answer, Answer) else Answer(answer) for answer in answers]
        self.asked.clear()

    def next_answer(self, headers: dict[str, str]) -> Answer:
        """The answer to a request."""
        self.asked.append(headers)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if answer.etag and headers.get("If-None-Match") == answer.etag:
            return Answer(status=304)
        return answer


@contextmanager
def web_server() -> Iterator[WebServer]:
    """A server in this process, gone at the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = server.next_answer(dict(self.headers))
            time.sleep(answer.before)
            try:
                self.send_response(answer.status)
                if answer.etag:
                    self.send_header("ETag", answer.etag)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                length = len(answer.body) if answer.declared is None else answer.declared
                self.send_header("Content-Length", str(length))
                self.end_headers()
                if answer.between_bytes:
                    for byte in answer.body:
                        self.wfile.write(bytes((byte,)))
                        time.sleep(answer.between_bytes)
                else:
                    self.wfile.write(answer.body)
            except OSError:
                pass  # the client has gone

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = WebServer(f"http://127.0.0.1:{http.server_port}/prices.json")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
