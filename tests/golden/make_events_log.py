"""Makes the golden log of everything else that a commit can say, once: pushes, stats, a fence, objects given up, ends and wishes.

    python -m tests.golden.make_events_log

Refuses to overwrite, as `make_log`. With the other two logs each event of format 0 stands in a valid commit.
"""

import json
from hashlib import sha256
from secrets import token_bytes
from typing import Any

from store import events
from store.commits import Leaf, ObjectRef
from sync.devices import adding
from sync.drafts import Content
from sync.keychain import Keychain
from sync.roster import Roster
from sync.team import InviteTerms, ending, inviting
from tests.actors import Book, Person, person
from tests.golden.make_kits_log import plain_kits
from tests.golden.make_log import FOLDER, plain_roster
from tests.sync.test_fold import let_in


def plain_rest(roster: Roster) -> dict[str, Any]:
    """What `plain_roster` and `plain_kits` leave out: the fence, what was given up and by whom, whether somebody's wish waits."""
    return {
        **plain_kits(roster),
        "fence": roster.fence,
        "given_up": {name: [by.device.hex(), by.seq] for name, by in roster.given_up.items()},
        "rotation_due": roster.rotation_due,
    }


def _ref(kind: str, base: int) -> ObjectRef:
    digest = sha256(token_bytes(8)).hexdigest()
    return ObjectRef.model_validate({"kind": kind, "base": base, "sha256": digest, "bytes": 1000})


def _push(refs: list[ObjectRef]) -> Content:
    leaf = Leaf(kind=1, tag=token_bytes(16).hex(), c=token_bytes(32).hex())
    return Content([events.Push(type="push")], refs, [leaf])


def _given_up(refs: list[ObjectRef]) -> list[events.Event]:
    names = [events.ObjectName.model_validate(ref.model_dump(exclude={"bytes"})) for ref in refs]
    return [events.ObjectsGivenUp(type="objects_given_up", objects=names)]


def _told_of_objects(book: Book, ben: Person, cat: Person) -> None:
    """Ben pushes, once metadata only, and publishes; what the bucket lost is given up by who may; a fence goes forward."""
    ana, seq = book.owner, len(book.slots)
    pack, manifest, second, stats = (
        _ref(kind, seq - 1) for kind in ("pack", "manifest", "manifest", "stats")
    )
    book.write(book.says(ben, [], _push([pack, manifest])))
    book.write(book.says(cat, [], _push([second])))
    book.write(book.says(ben, [], Content([events.StatsPublished(type="stats_published")], [stats])))
    book.void_reason(book.says(ben, _given_up([pack])))  # a plain member
    book.write(
        book.says(ana, [events.RoleSet(type="role_set", member=ben.identity.member_id.hex(), role="admin")])
    )
    book.write(book.says(ben, _given_up([pack, stats])))
    book.void_reason(book.says(ana, _given_up([manifest, pack])))  # a second time
    book.write(book.says(ana, _given_up([second])))
    book.write(book.says(ana, [events.GcFence(type="gc_fence", base=seq)]))
    book.void_reason(book.says(ben, [], _push([_ref("manifest", seq - 1)])))  # from before the fence


def _told_of_ends(book: Book, ben: Person, cat: Person) -> None:
    """An invite is closed, a device comes and goes, Cat asks to leave, which the next write enacts."""
    ana, secret = book.owner, token_bytes(32)
    before = set(_roster(book).invites)
    book.write(
        inviting(
            book.context(ana), Keychain([ana.identity.device]), secret, InviteTerms(3, 1_800_000_000_000)
        )
    )
    [invite] = set(_roster(book).invites) - before
    book.write(book.ends(ben, [events.Closed(type="closed", invite=invite.hex())]))
    second = ben.device()
    keychain = Keychain([ben.identity.device])
    book.write(adding(book.context(ben), keychain, second.identity.device.public, "a second device"))
    revoked = events.DeviceRevoked(
        type="device_revoked", device=second.identity.device_id.hex(), lost_seq=len(book.slots) - 1
    )
    book.write(ending(book.context(ben), keychain, [revoked]))
    book.write(book.says(cat, [events.Left(type="left")]))
    book.void_reason(book.says(ana, [], _push([_ref("manifest", len(book.slots) - 1)])))  # enacts nothing
    book.write(ending(book.context(ana), Keychain([ana.identity.device]), []))


def _roster(book: Book) -> Roster:
    assert book.point.roster is not None
    return book.point.roster


def make() -> None:
    """Write the slots and what they fold to."""
    book = Book(person("ana"))
    ben, cat = let_in(book, "ben"), let_in(book, "cat")
    _told_of_objects(book, ben, cat)
    _told_of_ends(book, ben, cat)
    roster = _roster(book)
    assert book.point.prev is not None
    keys, epochs = Keychain([ben.identity.device]), len(roster.spaces[roster.team_space].epochs)
    expected = {
        "slots": [data.decode() for data in book.slots],
        "device_seeds": {"ben": ben.identity.device.pack().hex(), "cat": cat.identity.device.pack().hex()},
        "void": [8, 11, 14, 20],
        "head": book.point.prev.hex(),
        "roster": plain_roster(roster),
        "rest": plain_rest(roster),
        "team_keys": [keys.at(roster, roster.team_space, n).key.hex() for n in range(1, epochs + 1)],
    }
    with (FOLDER / "events.json").open("x") as file:
        file.write(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    make()
