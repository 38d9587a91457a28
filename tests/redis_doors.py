"""Other ways to the tests' Redis: a port with TLS, and a Unix socket."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@contextlib.contextmanager
def unix(port: int) -> Iterator[str]:
    """Yields the path of a Unix socket that leads to this port."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(16)
            with _served(listener, port):
                yield path


@contextlib.contextmanager
def tls(port: int, folder: Path) -> Iterator[tuple[int, Path]]:
    """Yields a port that leads to this one by TLS, and its self-signed certificate."""
    certificate = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, folder / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener, _served(listener, port, context):
        yield listener.getsockname()[1], certificate


@contextlib.contextmanager
def _served(listener: socket.socket, port: int, context: ssl.SSLContext | None = None) -> Iterator[None]:
    open_ones: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = listener.accept()
                threading.Thread(target=lead, args=(caller,), daemon=True).start()

    def lead(caller: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if context:
                caller = context.wrap_socket(caller, server_side=True)
            server = socket.create_connection(("127.0.0.1", port))
            open_ones.extend((caller, server))
            threading.Thread(target=carry, args=(server, caller), daemon=True).start()
            carry(caller, server)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        for each in (listener, *open_ones):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def carry(source: socket.socket, target: socket.socket) -> None:
    """Copy from `source` to `target` until `source` ends, and then end `target`."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis of the tests")])
    now = datetime.now(UTC)
    places = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(places), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder / "certificate.pem"
