"""Messages between processes: what is sent comes back, and nothing that another signed, or did not sign, is read."""

import io
import pickle

import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.jobs import messages
from lcjax.jobs.messages import Message, exchange
from lcjax.jobs.peers import PeerError
from lcjax.training.execution.multihost import _from_arrays, _to_arrays
from lcjax.training.storage.run_state import Outcome


@pytest.fixture
def job(monkeypatch):
    """Return a function that makes this process one of two, whose other sends what `answer` makes of our message."""

    def join(answer, secret="0123456789abcdef"):
        monkeypatch.setenv("LCJAX_SECRET", secret)
        monkeypatch.setattr(messages, "_session", messages._Session())
        monkeypatch.setattr(messages, "process_count", lambda: 2)
        monkeypatch.setattr(messages, "process_index", lambda: 0)
        monkeypatch.setattr(messages, "gather_bytes", lambda mine: [mine, answer(mine)])

    return join


def sign(content):
    return messages._sign(1, content) + content


def test_a_process_exchanges_with_itself():
    assert exchange({"a": 1}) == [Message({"a": 1})]


def test_json_and_arrays_come_back(job):
    job(lambda mine: sign(mine[messages.DIGEST :]))
    arrays = {"a": np.arange(3), "b/c": np.array(True), "half": np.asarray(jnp.ones((2, 3), jnp.bfloat16))}
    for value in ({"rows": [1, None, "x"]}, None):  # two rounds
        mine, other = exchange(value, arrays)
        assert mine.value == other.value == value
        for name, array in arrays.items():
            assert other.arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(other.arrays[name], array)


def replay():
    """Return an answer that repeats, in every round, what was valid in the first."""
    first = []

    def answer(mine):
        first.append(sign(mine[messages.DIGEST :]))
        return first[0]

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        lambda mine: mine,  # signed as process 0
        lambda mine: mine[messages.DIGEST :],
        lambda mine: bytes(messages.DIGEST) + mine[messages.DIGEST :],
        lambda mine: sign(mine[messages.DIGEST :])[:-1] + b"\0",
        lambda mine: pickle.dumps(0),
        lambda mine: b"",
        replay(),
    ],
    ids=["sender", "unsigned", "zeros", "changed", "pickle", "empty", "replay"],
)
def test_a_message_without_the_right_signature_is_refused(job, answer):
    job(answer)
    with pytest.raises(PeerError, match=r"Process 1 of the job is refused: .* Set the same LCJAX_SECRET_FILE"):
        exchange(1)


def test_a_signed_message_names_no_code(job):
    """Even a process that knows the secret makes another read JSON and numbers only."""
    file = io.BytesIO()
    np.savez(file, value=np.array([{}], object))
    for content in (pickle.dumps({}), file.getvalue(), b"", b"PK"):
        job(lambda mine, content=content: sign(content if messages._session.nonce else mine[messages.DIGEST :]))
        with pytest.raises(ValueError, match="The message of process 1 cannot be read: "):
            exchange(1)


@pytest.mark.parametrize("variables", [None, {"params": {"Dense_0": {"kernel": np.ones((2, 3), np.float32)}}}])
def test_outcomes_come_back_to_the_last_bit(variables):
    curves = [[1, 2], [0.1, float("nan")], [1 / 3, 0.0], [float("inf"), 1e-300], [0.5, 0.25]]
    outcome = Outcome(0, 2, *curves, 0.7, 2 / 3, np.array([True, False]), np.zeros(0, bool), variables)
    back = _from_arrays(_to_arrays({7: outcome}))[7]
    np.testing.assert_equal(vars(back), vars(outcome))
    assert type(back.steps) is int
    assert type(back.test_error) is float
