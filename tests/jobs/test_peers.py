"""The meeting of the processes of a job, played by threads of one process: secrets, numbers, messages, losses."""

import contextlib
import os
import pickle
import socket
import struct
import threading
import time

import pytest

from benchmarks.faults.jobs import free_port, reach
from lcjax.jobs import peers
from lcjax.jobs.peers import PeerError, connect, gather_bytes, process_count, process_index
from lcjax.jobs.secret import read_secret

SECRET = b"0123456789abcdef"


@pytest.fixture
def meet(monkeypatch):
    """Return a function that starts the processes of a job at one address as threads, and gives what became of each."""
    place = f"127.0.0.1:{free_port()}"
    address = socket.getaddrinfo("127.0.0.1", int(place.rpartition(":")[2]), type=socket.SOCK_STREAM)
    jobs = []

    def run(*processes):
        results = {}

        def play(key, count, index, secret):
            job = (peers._Other if index else peers._First)(place, count, index, secret)
            jobs.append(job)
            try:
                job.meet(address)
            except PeerError as error:
                results[key] = str(error)
            else:
                results[key] = job

        for key, process in enumerate(processes):
            threading.Thread(target=play, args=(key, *process), daemon=True).start()
        return results

    run.place = place
    yield run
    for job in jobs:  # end the threads, which would end the process
        job.leaving |= set(range(8))
    for job in jobs:
        if hasattr(job, "joined"):
            with job.joined:
                job.count = 1 + len(job.links)
                job.joined.notify_all()
        for link in list(job.links.values()):
            with socket.socket(fileno=os.dup(link.fileno())) as connection, contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def wait(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gather_all(jobs, contents):
    results = {}
    threads = [
        threading.Thread(target=lambda i=i: results.update({i: jobs[i].gather(contents[i])})) for i in range(len(jobs))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return [results[i] for i in range(len(jobs))]


def test_three_processes_gather_messages_of_any_size(meet):
    jobs = meet(*((3, index, SECRET) for index in range(3)))
    wait(lambda: len(jobs) == 3)
    for contents in ([b"a", b"", b"c"], [bytes(3_000_000), b"b", bytes(5_000_000)]):
        assert gather_all(jobs, contents) == [contents] * 3
    for index in (2, 1, 0):
        jobs[index].say_goodbye()
    with pytest.raises(PeerError, match=r"Process 0 at .* has finished another command"):
        jobs[1].gather(b"more")


def test_processes_with_another_secret_are_refused(meet, capsys):
    """Both processes get the message, and the job still waits for the right peer."""
    results = meet((2, 0, SECRET), (2, 1, b"another secret, not the same"))
    wait(lambda: 1 in results)
    assert "have different secrets: set the same LCJAX_SECRET_FILE" in results[1]
    wait(lambda: "Refused a connection from 127.0.0.1" in capsys.readouterr().err)
    results |= meet((2, 1, SECRET))
    assert 0 not in results or not isinstance(results[0], str)


@pytest.mark.parametrize(
    "message", [pickle.dumps({"index": 1}), b"", b"GET / HTTP/1.1", bytes(72), bytes(71)],
    ids=["pickle", "empty", "http", "zeros", "short"],
)  # fmt: skip
def test_what_is_no_process_of_the_job_is_refused(meet, capsys, message):
    results = meet((2, 0, SECRET))
    with reach(meet.place) as rogue:
        rogue.sendall(struct.pack("!i", len(message)) + message)
        told = []
        wait(
            lambda: told.append(capsys.readouterr().err) or f"to the job at {meet.place}: it does not" in "".join(told)
        )
    assert results == {}


@pytest.mark.parametrize(
    ("surplus", "reason"),
    [
        ((3, 2), "it was started as one of 3 processes, but process 0 at {} as one of 2; give all the same number"),
        ((2, 1), "a process 1 has joined the job at {} before; give each its own index"),
        ((2, 4), "the job at {} has the processes 0 to 1"),
    ],
    ids=["number", "twice", "index"],
)
def test_a_surplus_process_is_refused(meet, capsys, surplus, reason):
    jobs = meet((2, 0, SECRET), (2, 1, SECRET))
    wait(lambda: len(jobs) == 2)
    results = meet((*surplus, SECRET))
    wait(lambda: 0 in results)
    assert results[0] == f"Process {surplus[1]} is refused: {reason.format(meet.place)}."
    wait(lambda told=[]: told.append(capsys.readouterr().err) or "Refused process" in "".join(told))


def test_an_absent_process_is_named_to_those_that_wait(meet, capsys, monkeypatch):
    monkeypatch.setattr(peers, "FIRST_REPORT", 0.3)
    monkeypatch.setattr(peers, "REPORTS", 0.3)
    monkeypatch.setattr(peers, "PATIENCE", 0.7)
    lost = []
    monkeypatch.setattr(peers, "leave", lambda code, line: lost.append((code, line)))
    results = meet((3, 0, SECRET), (3, 2, SECRET))
    wait(lambda: 0 in results)
    line = f"Process 1 of the 3 at {meet.place} has not joined: start it with --distributed {meet.place},3,1"
    assert results[0] == f"{line}, and check its output."
    assert capsys.readouterr().err == 2 * f"{line}.\n"  # by process 0, and by process 2


def test_process_0_is_missed(meet, capsys, monkeypatch):
    monkeypatch.setattr(peers, "FIRST_REPORT", 0.2)
    monkeypatch.setattr(peers, "REPORTS", 0.2)
    monkeypatch.setattr(peers, "PATIENCE", 0.5)
    results = meet((2, 1, SECRET))
    wait(lambda: 0 in results)
    assert results[0].startswith(f"Process 0 does not answer at {meet.place}: start it with --distributed ")
    assert capsys.readouterr().err == f"{results[0]}\n"


@pytest.mark.parametrize("index", [0, 1])
def test_the_end_of_a_process_is_told_to_all(meet, monkeypatch, index):
    lost = []
    monkeypatch.setattr(peers, "leave", lambda code, line: lost.append((code, line)))
    jobs = meet(*((3, index, SECRET) for index in range(3)))
    wait(lambda: len(jobs) == 3)
    for link in jobs[index].links.values():
        with socket.socket(fileno=os.dup(link.fileno())) as connection:
            connection.shutdown(socket.SHUT_RDWR)  # as the system does for a killed process
    wait(lambda: sum(f"Process {index} of the job at {meet.place} has ended" in line for _, line in lost) >= 2)
    assert {code for code, _ in lost} == {1}


def test_an_address_that_others_reach_needs_a_secret(monkeypatch):
    monkeypatch.delenv("LCJAX_SECRET", raising=False)
    monkeypatch.delenv("LCJAX_SECRET_FILE", raising=False)
    with pytest.raises(ValueError, match=r"Other machines can reach 0.0.0.0:9911: a secret is needed. Run `"):
        connect("0.0.0.0", 9911, 2, 0)


def test_an_address_of_another_machine_cannot_be_listened_at(monkeypatch):
    monkeypatch.setenv("LCJAX_SECRET", SECRET.decode())
    with pytest.raises(ValueError, match=r"Process 0 cannot listen at 192.0.2.1:9911: .*an address of the machine"):
        connect("192.0.2.1", 9911, 2, 0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match=r"Address already in use. Name a free port"):
            connect("127.0.0.1", taken.getsockname()[1], 2, 0)


def test_secrets_are_read_from_a_private_file_or_the_environment(monkeypatch, tmp_path):
    for name in ("LCJAX_SECRET", "LCJAX_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert read_secret() == b""
    with pytest.raises(ValueError, match=r"somewhere: a secret is needed. Run `.umask 077"):
        read_secret(required="somewhere:")
    monkeypatch.setenv("LCJAX_SECRET", "short")
    with pytest.raises(ValueError, match="at least 16 bytes, got 5"):
        read_secret()
    monkeypatch.setenv("LCJAX_SECRET", SECRET.decode())
    assert read_secret() == SECRET
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    monkeypatch.setenv("LCJAX_SECRET_FILE", str(path))
    with pytest.raises(ValueError, match="both set"):
        read_secret()
    monkeypatch.delenv("LCJAX_SECRET")
    path.chmod(0o640)
    with pytest.raises(ValueError, match=f"Other users can read the secret in {path}: run chmod 600"):
        read_secret()
    path.chmod(0o600)
    assert read_secret() == SECRET
    path.write_text("\n")
    with pytest.raises(ValueError, match="is empty: a secret is needed"):
        read_secret()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_secret()


def test_outside_of_a_job_there_is_one_process():
    assert (process_index(), process_count(), gather_bytes(b"a")) == (0, 1, None)
