"""A server of calendars on this machine: real HTTPS, by an authority that only tests trust."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: The name in the certificate; no resolver knows it.
NAME = "calendar.test"

Answer = Callable[[BaseHTTPRequestHandler], None]


def calendar(*events: str, head: str = "") -> bytes:
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Elsewhere//EN",
        *head.split(),
        *events,
        "END:VCALENDAR",
    )
    return ("\r\n".join(lines) + "\r\n").encode()


def event(uid: object, begins: dt.datetime, minutes: int = 30, *more: str, title: str = "Mrs Miller") -> str:
    ends = begins + dt.timedelta(minutes=minutes)
    lines = (
        *("BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z", f"SUMMARY:{title}"),
        *(f"DTSTART:{begins:%Y%m%dT%H%M%SZ}", f"DTEND:{ends:%Y%m%dT%H%M%SZ}"),
        *(*more, "END:VEVENT"),
    )
    return "\r\n".join(lines)


class Elsewhere:
    """What it answers is for the test to say; `asked` has the headers of each request, with its path."""

    def __init__(self) -> None:
        self.port = 0
        self.body = calendar()
        self.headers: dict[str, str] = {}
        #: In place of the calendar.
        self.answer: Answer | None = None
        self.asked: list[dict[str, str]] = []
        #: Set when the test is over, for an answer that would never end.
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}/private-s3cr3tt0ken/basic.ics"

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(
            {"path": handler.path} | {name: str(each) for name, each in handler.headers.items()}
        )
        if self.answer:
            self.answer(handler)
            return
        if (etag := self.headers.get("ETag")) and handler.headers["If-None-Match"] == etag:
            handler.send_response(304)
            handler.end_headers()
            return
        send(handler, self.body, self.headers)


def send(handler: BaseHTTPRequestHandler, body: bytes, headers: dict[str, str] | None = None) -> None:
    handler.send_response(200)
    for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@contextmanager
def running(authority: Authority) -> Iterator[Elsewhere]:
    elsewhere = Elsewhere()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                elsewhere.get(self)
            except OSError:
                self.close_connection = True  # we broke off, as some of the tests want

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # a handshake that we broke off

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = authority.context().wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    elsewhere.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield elsewhere
    finally:
        elsewhere.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Authority:
    """Certifies NAME and this machine. `bundle` is what trusts it."""

    def __init__(self, folder: Path) -> None:
        self.bundle = folder / "authority.pem"
        self._chain = folder / "server.pem"
        key, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])
        ca = _certificate(root, root, key, key, x509.BasicConstraints(ca=True, path_length=None))
        names = x509.SubjectAlternativeName(
            [x509.DNSName(NAME), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
        leaf = _certificate(server, root, own, key, names)
        self.bundle.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        self._chain.write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + leaf.public_bytes(serialization.Encoding.PEM)
        )

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._chain)
        return context


def _certificate(
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(extension, critical=True)
        .sign(signer, hashes.SHA256())
    )
