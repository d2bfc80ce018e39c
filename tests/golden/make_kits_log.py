"""Makes the golden log of kits, once: a recovery, a rekey that ends it, junk asked about and answered, with the keys to read it.

    python -m tests.golden.make_kits_log

Refuses to overwrite, as `make_log`.
"""

import json
from secrets import token_bytes
from typing import Any

from crypto.identities import member_keys
from store import events
from sync.drafts import grant
from sync.keychain import Keychain
from sync.roster import Roster
from sync.team import InviteTerms, ending, inviting, joining, private_epoch
from tests.actors import Book, Person, person
from tests.golden.make_log import FOLDER, plain_roster
from tests.sync.test_devices import recovers
from tests.sync.test_rekey import event_of, rekeys


def plain_kits(roster: Roster) -> dict[str, Any]:
    """What `plain_roster` leaves out: whose kit counts, which lines there are, who waits for a key."""
    return {
        "kits": {
            m.id.hex(): [m.keys.pack().hex(), [each.pack().hex() for each in m.former], m.rekeyed_seq]
            for m in roster.members.values()
        },
        "lines": {d.id.hex(): d.line_seq for d in roster.devices.values()},
        "wanted": [
            [space.hex(), epoch, device.hex(), wanted.pending, sorted(m.hex() for m in wanted.answered)]
            for (space, epoch, device), wanted in roster.wanted.items()
        ],
    }


def told(book: Book) -> Person:
    """Write the story into the book; Ana with the kit that counts in the end."""
    ana, ben, secret = book.owner, person("ben"), token_bytes(32)
    keychain = Keychain([ana.identity.device])
    book.write(inviting(book.context(ana), keychain, secret, InviteTerms(1, None)))
    book.write(joining(book.context(ben), secret))
    book.write(private_epoch(book.context(ana), keychain))
    thief = ana.device()
    book.write(recovers(book, thief))
    kit = member_keys(token_bytes(32))
    event = event_of(book, ana, ana.member, kit)
    book.write(rekeys(book, ana, event))
    book.void_reason(ending(book.context(ben), Keychain([ben.identity.device]), []) + b" ")
    again = event_of(book, ben, ben.member, ana.member)
    book.void_reason(book.says(ben, [again]))
    roster = book.point.roster
    assert roster is not None
    team = roster.team_space
    wanted = [events.RewrapWanted(type="rewrap_wanted", space=team.hex(), epoch=number) for number in (1, 2)]
    book.write(book.says(ben, [*wanted]))
    answer = grant(keychain.at(roster, team, 2), [ben.identity.device.public.x25519])
    book.write(book.says(ana, [events.Rewrap(type="rewrap", grants=[answer])]))
    return Person(kit, ana.identity)


def make() -> None:
    """Write the slots and what they fold to."""
    book = Book(person("ana"))
    ana = told(book)
    roster = book.point.roster
    assert roster is not None
    assert book.point.prev is not None
    keys = Keychain([ana.identity.device])
    expected = {
        "slots": [data.decode() for data in book.slots],
        "kit_seeds": ana.member.pack().hex(),
        "former_kit_seeds": book.owner.member.pack().hex(),
        "void": [6, 7],
        "head": book.point.prev.hex(),
        "roster": plain_roster(roster),
        "kits": plain_kits(roster),
        "team_keys": [keys.at(roster, roster.team_space, n).key.hex() for n in (1, 2, 3)],
    }
    with (FOLDER / "kits.json").open("x") as file:
        file.write(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    make()
