"""A real HTTP server on loopback that answers as it is told, faults included."""

import gzip
import http.server
import io
import ssl
import tarfile
import threading
import time
import urllib.parse
from dataclasses import dataclass, field


@dataclass
class Answer:
    """What is sent for a path.

    Attributes:
        cut: how much of the body is sent before the connection is closed.
        pauses: seconds to wait before each tenth of the body.
    """

    body: bytes = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    cut: int | None = None
    pauses: float = 0.0
    has_length: bool = True


def redirect(url, status=302):
    return Answer(status=status, headers={"Location": url})


class Server:
    """Serves ``answers[path]`` in turn, the last one for good; notes requests.

    Behind ``HTTP_PROXY``, it is asked for whole URLs: those are its paths then.
    """

    def __init__(self, certificate=None):
        self.answers = {}
        self.requests = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self):
        return self._server.server_address[1]

    def url(self, path="", host="127.0.0.1"):
        return f"{self._scheme}://{host}:{self.port}{path}"

    @property
    def asked(self):
        """The paths asked for so far, with their queries."""
        return [path for path, _ in self.requests]

    def serve(self, path, *answers):
        self.answers[path] = [a if isinstance(a, Answer) else Answer(a) for a in answers]
        return self.url(path)

    def _handler(server):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests.append((self.path, dict(self.headers)))
                answers = server.answers.get(
                    urllib.parse.urlsplit(self.path)._replace(query="").geturl()
                )
                if not answers:
                    answers = [Answer(b"nothing here", status=404)]
                self._send(answers.pop(0) if len(answers) > 1 else answers[0])

            def _send(self, answer):
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.has_length:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                body = answer.body[: answer.cut]
                tenth = max(1, -(-len(body) // 10))
                try:
                    for start in range(0, len(body), tenth):
                        time.sleep(answer.pauses)
                        self.wfile.write(body[start : start + tenth])
                        self.wfile.flush()
                except OSError:
                    pass  # The client has gone.

            def log_message(self, *_):
                pass

        return Handler


def archive_of(folder, mode="w:gz"):
    """The bytes of a module's archive, the same ones at any time."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.add(folder, arcname=".")
    # tarfile's own gzip notes the time, so processes that run one suite together
    # would disagree on checksums.
    return gzip.compress(stream.getvalue(), mtime=0) if mode == "w:gz" else stream.getvalue()
