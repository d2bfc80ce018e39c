"""Signatures checked by another process: the same answers, in order, and no harm when that process ends."""

import os

import pytest

from crypto import labels, signing
from crypto.signatures_ahead import Claim, SignaturesAhead, batch_signatures

SEED, OTHER = bytes(range(32)), bytes(32)


def claims(count: int) -> list[Claim]:
    """Good ones, and by turns one of a wrong payload, label or key."""
    made = []
    for number in range(count):
        payload = b"%d" % number * number
        public, label = signing.public_of_seed(SEED), labels.COMMIT
        signature = signing.sign(SEED, label, payload)
        wrong = number % 5
        made.append(
            Claim(
                signing.public_of_seed(OTHER) if wrong == 1 else public,
                labels.JOIN if wrong == 2 else label,
                payload + b"x" if wrong == 3 else payload,
                signature,
            )
        )
    return made


def test_the_answers_are_those_of_the_check_itself() -> None:
    """Over several batches and hand-overs, asked for in any order, each answer is what `signing.verifies` says."""
    made = claims(3 * batch_signatures)
    with SignaturesAhead() as ahead:
        first = ahead.claim(made[:10])
        second = ahead.claim(made[10:])
        answers = [ahead.answer(number) for number in reversed(range(len(made)))]

    assert (0, 10) == (first, second)
    wanted = [signing.verifies(each.public, each.label, each.payload, each.signature) for each in made]
    assert wanted == answers[::-1]
    assert {True, False} == set(wanted)


def test_a_process_that_ended_answers_nothing() -> None:
    """Killed from outside, it has no word on what it had not done: the caller is told, not kept waiting."""
    with SignaturesAhead() as ahead:
        ahead._process.kill()
        ahead._process.wait()
        number = ahead.claim(claims(1000))

        assert ahead.answer(number + 999) is None


def test_leaving_early_ends_the_process() -> None:
    """Whoever gives up in the middle leaves no process behind, and does not wait for its work."""
    with SignaturesAhead() as ahead:
        ahead.claim(claims(2000))

    with pytest.raises(ProcessLookupError):
        os.kill(ahead._process.pid, 0)
