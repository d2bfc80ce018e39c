"""Makes the golden log, once: founding, invites, joins, a private space, a removal and junk, with the keys to read it.

    python -m tests.golden.make_log

Refuses to overwrite. The log is read by the tests of every later version: valid once stays valid, and void stays void.
"""

import json
from pathlib import Path
from secrets import token_bytes
from typing import Any

from store import events
from sync.keychain import Keychain
from sync.roster import Roster
from sync.team import InviteTerms, inviting, joining, private_epoch
from tests.actors import Book, Person, person

FOLDER = Path(__file__).parent / "log"


def told(book: Book) -> tuple[Person, Person]:
    """Write the story into the book; its other two people."""
    ana, ben, cat = book.owner, person("ben"), person("cat")
    for joiner in (ben, cat):
        secret = token_bytes(32)
        keychain = Keychain([ana.identity.device])
        book.write(inviting(book.context(ana), keychain, secret, InviteTerms(1, None)))
        book.write(joining(book.context(joiner), secret))
    book.void_reason(b"junk of a stranger")
    book.write(private_epoch(book.context(ben), Keychain([ben.identity.device])))
    removal = events.MemberRemoved(type="member_removed", member=cat.identity.member_id.hex())
    book.write(book.ends(ana, [removal]))
    return ben, cat


def plain_roster(roster: Roster) -> dict[str, Any]:
    """A roster as JSON, for comparing across versions."""
    return {
        "team": roster.team.hex(),
        "members": {m.id.hex(): [m.role, m.state, m.joined_seq] for m in roster.members.values()},
        "devices": {
            d.id.hex(): [d.member.hex(), d.admitted_seq, d.revoked_seq] for d in roster.devices.values()
        },
        "spaces": {
            s.id.hex(): [s.kind, [[e.number, e.commitment.hex(), e.seq] for e in s.epochs]]
            for s in roster.spaces.values()
        },
        "invites": {i.id.hex(): [i.uses, i.limit, i.open] for i in roster.invites.values()},
    }


def make() -> None:
    """Write the slots and what they fold to."""
    book = Book(person("ana"))
    ben, cat = told(book)
    roster = book.point.roster
    assert roster is not None
    assert book.point.prev is not None
    people = {"ana": book.owner, "ben": ben, "cat": cat}
    keys = Keychain([book.owner.identity.device])
    expected = {
        "slots": [data.decode() for data in book.slots],
        "device_seeds": {name: who.identity.device.pack().hex() for name, who in people.items()},
        "member_seeds": {name: who.member.pack().hex() for name, who in people.items()},
        "void": [5],
        "head": book.point.prev.hex(),
        "roster": plain_roster(roster),
        "team_keys": [keys.at(roster, roster.team_space, n).key.hex() for n in (1, 2, 3, 4)],
    }
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "log.json").open("x") as file:
        file.write(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    make()
