"""A real coturn, started from the configuration that voxrtc ships (turn/turnserver.conf)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import hashlib
import hmac
import ipaddress
import secrets
import shutil
import socket
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SHIPPED = Path(__file__).resolve().parents[1] / "turn" / "turnserver.conf"
INSTALLED = shutil.which("turnserver") is not None
SECRET = "a secret for the tests"
START_S = 20
READY = "admin thread"
"""What coturn logs last, once every socket listens."""


@dataclass
class Coturn:
    """One that listens. ``log``: its last lines; ``ca``: a PEM file to trust for TLS."""

    address: str
    port: int
    tls_port: int
    secret: str
    ca: Path
    pid: int = 0
    log: deque[str] = field(default_factory=lambda: deque(maxlen=500))

    @property
    def host(self) -> str:
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def udp(self) -> str:
        return f"turn:{self.host}:{self.port}?transport=udp"

    @property
    def tcp(self) -> str:
        return f"turn:{self.host}:{self.port}?transport=tcp"

    @property
    def tls(self) -> str:
        return f"turns:{self.host}:{self.tls_port}?transport=tcp"

    @property
    def urls(self) -> list[str]:
        return [self.udp, self.tcp, self.tls]

    def credentials(self, ttl_s: float = 600) -> tuple[str, str]:
        """User name and password as the TURN REST API makes them; already expired where ``ttl_s`` is negative."""
        name = f"{int(time.time() + ttl_s)}:{secrets.token_hex(4)}"  # coturn's quota goes by what follows the colon
        return name, base64.b64encode(hmac.digest(self.secret.encode(), name.encode(), hashlib.sha1)).decode()


@contextlib.asynccontextmanager
async def coturn(
    address: str = "127.0.0.1",
    *,
    port: int = 0,
    tls_port: int = 0,
    secret: str = SECRET,
    prefix: Sequence[str] = (),
    peers: Sequence[str] = ("127.0.0.0-127.255.255.255", "192.0.2.0-192.0.2.255"),
    more: Sequence[str] = (),
) -> AsyncIterator[Coturn]:
    """Start coturn on ``address``; ports left at 0 are any that are free here.

    ``prefix`` goes before the command (``ip netns exec NAME``), ``peers`` are ranges it may relay to although they are
    private, ``more`` are further lines of configuration, which win over those of the shipped file.
    """
    with tempfile.TemporaryDirectory(prefix="coturn-") as folder:
        certificate(Path(folder), address)
        server = Coturn(address, port or free(address), tls_port or free(address), secret, Path(folder) / "cert.pem")
        config = Path(folder) / "turnserver.conf"
        config.write_text(substituted(server, Path(folder), peers, more))
        process = await asyncio.create_subprocess_exec(
            *prefix, "turnserver", "-c", str(config), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        server.pid = process.pid
        reading = asyncio.create_task(_read(process, server.log, ready := asyncio.Event()))
        try:
            async with asyncio.timeout(START_S):
                await ready.wait()
            if process.returncode is not None:
                raise RuntimeError("coturn did not start:\n" + "\n".join(server.log))
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(5):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            await reading


def substituted(server: Coturn, folder: Path, peers: Sequence[str], more: Sequence[str]) -> str:
    """The shipped configuration with the places, names and ports of a test."""
    values = {
        "listening-port": server.port,
        "tls-listening-port": server.tls_port,
        "static-auth-secret": server.secret,
        "cert": folder / "cert.pem",
        "pkey": folder / "key.pem",
    } | dict(line.split("=", 1) for line in more if "=" in line)
    lines = []
    for line in SHIPPED.read_text().splitlines():
        name = line.partition("=")[0]
        if name != "syslog":
            lines.append(f"{name}={values.pop(name)}" if name in values else line)
    lines += [f"{name}={value}" for name, value in values.items()] + [line for line in more if "=" not in line]
    lines += [f"listening-ip={server.address}", f"relay-ip={server.address}", "allow-loopback-peers"]
    lines += [f"allowed-peer-ip={peer}" for peer in peers]
    lines += ["log-file=stdout", f"pidfile={folder / 'pid'}", f"userdb={folder / 'turndb'}"]
    return "\n".join(lines) + "\n"


def free(address: str) -> int:
    """A port that is free for UDP and TCP."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(50):
        with socket.socket(family, socket.SOCK_STREAM) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind((address, 0))
                udp.bind((address, tcp.getsockname()[1]))
            except OSError as error:
                if error.errno == 99:  # an address of another namespace: nobody is there yet
                    return 3478
                continue
            return int(udp.getsockname()[1])
    raise RuntimeError(f"no free port on {address}")


def certificate(folder: Path, address: str) -> None:
    """cert.pem and key.pem for ``address`` and localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(address))])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))


async def _read(process: asyncio.subprocess.Process, log: deque[str], ready: asyncio.Event) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        log.append(line.decode(errors="replace").rstrip())
        if READY in log[-1]:
            ready.set()
    await process.wait()
    ready.set()
