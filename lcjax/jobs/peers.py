"""Connections between the processes of a job that was started by hand.

Process 0 listens only at the address of the job; the others connect to it and keep the connection. Both sides prove by
HMAC-SHA256 that they know the job's secret. A connection ends with its process, so the loss of a process is detected at
once, or after half a minute if its machine or network has failed.

A job that a cluster starts uses `jax.distributed` instead, whose service trusts its network.
"""

import contextlib
import hmac
import ipaddress
import os
import secrets
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from queue import SimpleQueue

from lcjax.interruption import leave
from lcjax.jobs.secret import read_secret

__all__ = ["LARGEST_JOB", "PeerError", "connect", "gather_bytes", "process_count", "process_index", "say_goodbye"]

LARGEST_JOB = 4096  # processes
FIRST_REPORT, REPORTS, PATIENCE = 10.0, 60.0, 250.0  # seconds: to a first report, between reports, in all
REPLY = 10  # seconds within which a peer must prove that it knows the secret
GREETING = b"lcjax job 1 "  # and a challenge of 32 bytes
_ENTRY = struct.Struct("!II32s32s")  # index and processes of a peer, its own challenge, and its proof

# Kinds of messages between connected processes, by their first byte.
_DATA, _START, _WAIT, _END, _BYE = b"D", b"S", b"W", b"E", b"B"


class PeerError(RuntimeError):
    """A process of the job is missing, has ended, or is refused."""


def process_index() -> int:
    """Return the index of this process in its job; 0 outside of a job."""
    if _job is not None:
        return _job.index
    import jax

    return jax.process_index() if jax.distributed.is_initialized() else 0


def process_count() -> int:
    """Return the number of processes of this job; 1 outside of a job."""
    if _job is not None:
        return _job.count
    import jax

    return jax.process_count() if jax.distributed.is_initialized() else 1


def gather_bytes(message: bytes) -> list[bytes] | None:
    """Return the messages of all processes, by index; None if this process has not met its peers with `connect`.

    Every process of the job must call this. The caller must verify who sent each message.

    Raises:
        PeerError: another process has ended its command.
    """
    return None if _job is None else _job.gather(message)


def connect(host: str, port: int, count: int, index: int) -> None:
    """Connect to the other processes of a job. If one of them is lost later, this process ends, too.

    Args:
        host: name or address of process 0, which listens there and nowhere else.
        port: its port.
        count: processes of the job.
        index: of this process.

    Raises:
        ValueError: process 0 cannot listen at this address, or other machines can reach it and there is no secret.
        PeerError: a process is missing, or this one is refused.
    """
    global _job
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"--distributed {place}: {error.strerror}; name an address of process 0.") from None
    local = all(ipaddress.ip_address(str(at[0]).partition("%")[0]).is_loopback for *_, at in addresses)
    reason = "" if local else f"Other machines can reach {place}:"
    secret = read_secret(required=reason)
    kind = _First if index == 0 else _Other
    job = kind(place, count, index, secret)
    job.meet(addresses)
    _job = job


class _Job:
    """The connections of one process to its peers."""

    def __init__(self, place: str, count: int, index: int, secret: bytes) -> None:
        self.place, self.count, self.index, self.secret = place, count, index, secret
        self.inbox: dict[int, SimpleQueue[bytes | None]] = {}
        self.links: dict[int, Connection] = {}
        self.leaving: set[int] = set()

    def meet(self, addresses: Sequence[tuple[object, ...]]) -> None:
        raise NotImplementedError

    def gather(self, message: bytes) -> list[bytes]:
        raise NotImplementedError

    def prove(self, purpose: bytes, *parts: bytes) -> bytes:
        return hmac.digest(self.secret, b"\0".join((b"lcjax", purpose, *parts)), "sha256")

    def start_reading(self, peer: int, link: Connection) -> None:
        self.inbox[peer], self.links[peer] = SimpleQueue(), link
        threading.Thread(target=self._read, args=(peer, link), daemon=True).start()

    def receive(self, peer: int) -> bytes:
        message = self.inbox[peer].get()
        if message is None:
            raise PeerError(f"Process {peer} at {self.place} has finished another command: run the same one in all.")
        return message

    def send(self, peer: int, kind: bytes, content: bytes = b"") -> None:
        with contextlib.suppress(OSError):  # the reading thread reports the loss of a peer
            self.links[peer].send_bytes(kind + content)

    def say_goodbye(self) -> None:
        for peer in self.links:
            self.send(peer, _BYE)

    def _read(self, peer: int, link: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                message = link.recv_bytes()
                self.handle(peer, message[:1], message[1:])
        if peer not in self.leaving:
            self.lose(peer)

    def handle(self, peer: int, kind: bytes, content: bytes) -> None:
        if kind == _DATA:
            self.inbox[peer].put(content)
        elif kind == _BYE:
            self.leaving.add(peer)
            self.inbox[peer].put(None)

    def lose(self, peer: int) -> None:
        time.sleep(1)  # the main thread may be about to report more
        leave(
            1,
            f"lcjax: Process {peer} of the job at {self.place} has ended; its own output may say why. Its finished "
            "trainings are stored; start all processes again to resume.",
        )


class _First(_Job):
    """Process 0, to which all others connect."""

    def meet(self, addresses: Sequence[tuple[object, ...]]) -> None:
        family, *_, address = addresses[0]
        try:
            listener = socket.create_server(address, family=family)  # type: ignore[arg-type]
        except OSError as error:
            raise ValueError(
                f"Process 0 cannot listen at {self.place}: {os.strerror(error.errno or 0)}. Name a free port and an "
                "address of the machine on which it runs."
            ) from None
        self.joined = threading.Condition()
        self.places = threading.Semaphore(64)  # limits peers that have not yet proven that they know the secret
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        for wait, is_last in _reports():
            with self.joined:
                if self.joined.wait_for(lambda: len(self.links) == self.count - 1, wait):
                    break
                missing = [peer for peer in range(1, self.count) if peer not in self.links]
            names = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
            line = (
                f"Process {names} of the {self.count} at {self.place} has not joined: start it with "
                f"--distributed {self.place},{self.count},{missing[0]}"
            )
            if is_last:
                raise PeerError(f"{line}, and check its output.")
            _say(f"{line}.")
            for peer in list(self.links):
                self.send(peer, _WAIT, line.encode())
        for peer in self.links:
            self.send(peer, _START)

    def gather(self, message: bytes) -> list[bytes]:
        messages = [message, *(self.receive(peer) for peer in range(1, self.count))]
        for peer in self.links:
            for sender, content in enumerate(messages):
                if sender != peer:
                    self.send(peer, _DATA, content)
        return messages

    def lose(self, peer: int) -> None:
        for other in self.links:
            self.send(other, _END, str(peer).encode())
        super().lose(peer)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, address = listener.accept()
            self.places.acquire()
            threading.Thread(target=self._welcome, args=(connection, f"{address[0]}"), daemon=True).start()

    def _welcome(self, connection: socket.socket, origin: str) -> None:
        """Admit a process that knows the secret, or refuse it with a line in both processes."""
        link = _to_link(connection)
        try:
            challenge = secrets.token_bytes(32)
            link.send_bytes(GREETING + challenge)
            entry = link.recv_bytes(_ENTRY.size)
            peer, count, answer, proof = _ENTRY.unpack(entry)
            if not hmac.compare_digest(proof, self.prove(b"join", challenge, entry[:-32])):
                raise ValueError("it does not know the job's secret (LCJAX_SECRET_FILE)")
        except (OSError, EOFError, ValueError, struct.error) as error:
            reason = str(error) if isinstance(error, ValueError) else "it does not follow the protocol of lcjax"
            _say(f"lcjax: Refused a connection from {origin} to the job at {self.place}: {reason}.")
            with contextlib.suppress(OSError):
                link.send_bytes(bytes(32))
            link.close()
            return
        finally:
            self.places.release()
        with self.joined:
            reason = self._objection(peer, count)
            link.send_bytes(self.prove(b"admit", answer, reason.encode()) + reason.encode())
            if not reason:
                _wait_forever(link)
                self.start_reading(peer, link)
                self.joined.notify_all()
        if reason:
            _say(f"lcjax: Refused process {peer} from {origin}: {reason}.")

    def _objection(self, peer: int, count: int) -> str:
        if count != self.count:
            others = f"process 0 at {self.place} as one of {self.count}"
            return f"it was started as one of {count} processes, but {others}; give all the same number"
        if not 0 < peer < count:
            return f"the job at {self.place} has the processes 0 to {count - 1}"
        if peer in self.links:
            return f"a process {peer} has joined the job at {self.place} before; give each its own index"
        return ""


class _Other(_Job):
    """A process that connects to process 0."""

    def meet(self, addresses: Sequence[tuple[object, ...]]) -> None:
        link = self._reach_first()
        try:
            greeting = link.recv_bytes(len(GREETING) + 32)
            if not greeting.startswith(GREETING):
                raise ValueError
            answer = secrets.token_bytes(32)
            head = _ENTRY.pack(self.index, self.count, answer, bytes(32))[:-32]
            link.send_bytes(head + self.prove(b"join", greeting[len(GREETING) :], head))
            verdict = link.recv_bytes(1024)
        except (OSError, EOFError, ValueError):
            raise PeerError(f"Another program answers at {self.place}, not process 0: choose a free port.") from None
        proof, reason = verdict[:32], verdict[32:].decode(errors="replace")
        if not hmac.compare_digest(proof, self.prove(b"admit", answer, verdict[32:])):
            raise PeerError(
                f"Process 0 at {self.place} and process {self.index} have different secrets: set the same "
                "LCJAX_SECRET_FILE (or LCJAX_SECRET) in both."
            )
        if reason:
            raise PeerError(f"Process {self.index} is refused: {reason}.")
        _wait_forever(link)
        self.started = threading.Event()
        self.start_reading(0, link)
        self.started.wait()

    def gather(self, message: bytes) -> list[bytes]:
        self.send(0, _DATA, message)
        return [message if sender == self.index else self.receive(0) for sender in range(self.count)]

    def handle(self, peer: int, kind: bytes, content: bytes) -> None:
        if kind == _START:
            self.started.set()
        elif kind == _WAIT:
            _say(content.decode() + ".")
        elif kind == _END:
            self.lose(int(content))
        else:
            super().handle(peer, kind, content)

    def _reach_first(self) -> Connection:
        host, _, port = self.place.rpartition(":")
        for wait, is_last in _reports():
            deadline = time.monotonic() + wait
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    return _to_link(socket.create_connection((host.strip("[]"), int(port)), timeout=5))
                time.sleep(0.1)
            line = (
                f"Process 0 does not answer at {self.place}: start it with --distributed {self.place},{self.count},0, "
                "and check the address and the firewall."
            )
            if is_last:
                raise PeerError(line)
            _say(line)
        raise AssertionError


_job: _Job | None = None


def say_goodbye() -> None:
    """Tell the other processes that this one has succeeded."""
    if _job is not None:
        _job.say_goodbye()


def _reports() -> list[tuple[float, bool]]:
    """Return the seconds to wait before each report of a missing process, and True for the last."""
    waits = [FIRST_REPORT, *[REPORTS] * int((PATIENCE - FIRST_REPORT) / REPORTS)]
    return [(wait, i == len(waits) - 1) for i, wait in enumerate(waits)]


def _to_link(connection: socket.socket) -> Connection:
    """Return a connection whose reads and writes fail if the other machine does not answer."""
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 30_000)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", REPLY, 0))
    return Connection(connection.detach())


def _wait_forever(link: Connection) -> None:
    """Remove the time limit on the answers of a peer, once it has proven that it knows the secret."""
    with socket.socket(fileno=os.dup(link.fileno())) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 0))


def _say(line: str) -> None:
    printable = "".join(letter if letter.isprintable() else "?" for letter in line)
    print(printable, file=sys.stderr, flush=True)
