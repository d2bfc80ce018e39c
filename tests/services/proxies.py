"""An HTTP proxy on loopback that forwards, tunnels, asks for a password, and can be cut; and a door with TLS before a server."""

import base64
import select
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_piece_bytes: Final = 65_536
_idle_seconds: Final = 30


class Proxy(socketserver.ThreadingTCPServer):
    """Counts what went through it, as "GET" or "CONNECT"; refuses with 407 without `password` (user:password)."""

    daemon_threads = True
    request_queue_size = 64
    allow_reuse_address = True

    def __init__(self, password: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.wanted = "Basic " + base64.b64encode(password.encode()).decode() if password else None
        self.seen: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _ProxyHandler(socketserver.StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        line = self.rfile.readline().decode()
        headers: list[str] = []
        while (text := self.rfile.readline().decode()).strip():
            headers.append(text)
        if not line:
            return
        given = [h.partition(":")[2].strip() for h in headers if h.lower().startswith("proxy-authorization:")]
        if self.server.wanted is not None and given != [self.server.wanted]:
            self.wfile.write(b"HTTP/1.1 407 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        method, target, _ = line.split(" ", 2)
        self.server.seen.append(method)
        self._tunnel(target) if method == "CONNECT" else self._forward(method, target, headers)

    def _tunnel(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port)), _idle_seconds) as there:
            self.wfile.write(b"HTTP/1.1 200 go on\r\n\r\n")
            _shuttle(self.connection, there)

    def _forward(self, method: str, target: str, headers: list[str]) -> None:
        """One request per connection; hop-by-hop headers stay here."""
        parts = urlsplit(target)
        kept = [h for h in headers if not h.lower().startswith(("proxy-", "connection:"))]
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lengths = [int(h.partition(":")[2]) for h in headers if h.lower().startswith("content-length:")]
        with socket.create_connection((parts.hostname or "", parts.port or 80), _idle_seconds) as there:
            head = f"{method} {path} HTTP/1.1\r\n{''.join(kept)}Connection: close\r\n\r\n"
            there.sendall(head.encode() + self.rfile.read(lengths[0] if lengths else 0))
            while piece := there.recv(_piece_bytes):
                self.wfile.write(piece)


def _shuttle(one: socket.socket, other: socket.socket) -> None:
    """Bytes both ways until one side ends."""
    pairs = {one: other, other: one}
    with suppress(OSError):
        while ready := select.select(list(pairs), [], [], _idle_seconds)[0]:
            for side in ready:
                piece = side.recv(_piece_bytes)
                if not piece:
                    return
                pairs[side].sendall(piece)


@contextmanager
def proxy(password: str = "") -> Iterator[Proxy]:
    """A running proxy."""
    with Proxy(password) as server:
        yield from _serving(server)


class _Door(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64
    allow_reuse_address = True

    def __init__(self, port: int, target: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", port), _DoorHandler)
        self.target = target
        self.tls = tls
        self.open: set[socket.socket] = set()
        self.sent_bytes_max: int | None = None
        self.dropped = 0


class _DoorHandler(socketserver.BaseRequestHandler):
    server: _Door

    def handle(self) -> None:
        with suppress(OSError):  # a client that does not trust us hangs up in the middle of the handshake
            self._handle()

    def _handle(self) -> None:
        here = self.request
        self.server.open.add(here)
        if self.server.tls is not None:
            here = self.server.tls.wrap_socket(here, server_side=True)
        with here, socket.create_connection(self.server.target, _idle_seconds) as there:
            threading.Thread(target=_copy, args=(there, here), daemon=True).start()
            if _copy(here, there, self.server.sent_bytes_max):
                self.server.dropped += 1
                # An abort in the middle of a body: neither side hears of an orderly end.
                for side in (here, there):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _copy(source: socket.socket, into: socket.socket, bytes_max: int | None = None) -> bool:
    """One way; TLS keeps bytes of its own, so that `select` would not do here. Whether it stopped at `bytes_max`."""
    left = bytes_max
    with suppress(OSError):
        while piece := source.recv(_piece_bytes):
            into.sendall(piece[:left])
            if left is not None and (left := left - len(piece)) <= 0:
                return True
    with suppress(OSError):
        into.shutdown(socket.SHUT_WR)
    return False


class Door:
    """A port that leads to a server; shut, it refuses, and what was under way is cut."""

    def __init__(self, target: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._tls = tls
        self._server: _Door | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def open(self) -> None:
        """At the same port as before."""
        self._server = _Door(self._port, self._target, self._tls)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Connections that were aborted since the last `choke`."""
        return self._server.dropped if self._server is not None else 0

    def choke(self, bytes_max: int | None) -> None:
        """Abort each new connection once it has sent so many bytes; None: no more."""
        assert self._server is not None
        self._server.sent_bytes_max, self._server.dropped = bytes_max, 0
        self._hang_up()

    def shut(self) -> None:
        """Cut the wire."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._hang_up()
        self._server.server_close()
        self._server = None

    def _hang_up(self) -> None:
        for each in tuple(self._server.open) if self._server is not None else ():
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def door(target: str, tls: ssl.SSLContext | None = None) -> Iterator[Door]:
    """An open door before `target` (a URL)."""
    made = Door(target, tls)
    made.open()
    try:
        yield made
    finally:
        made.shut()


def _serving(server: Proxy) -> Iterator[Proxy]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()


def own_authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A site's own authority: the file to trust, and a server's side of TLS with a certificate of it for 127.0.0.1."""
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("an authority of our own")
    authority = _certificate(name, name, key.public_key(), key, is_authority=True)
    server_key = ec.generate_private_key(ec.SECP256R1())
    served = _certificate(_name("127.0.0.1"), name, server_key.public_key(), key, is_authority=False)
    bundle, chain = folder / "authority.pem", folder / "server.pem"
    bundle.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    chain.write_bytes(
        server_key.private_bytes(serialization.Encoding.PEM, form, plain)
        + served.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return bundle, context


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if not is_authority:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())
