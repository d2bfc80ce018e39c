"""People for tests: an identity with a home, over any store."""

from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_bytes

from crypto.identities import SecretKeys, certify, member_id, member_keys, new_device_keys
from crypto.sealing import SealKey
from store import events
from store.blobs import BlobStore
from store.commits import Commit
from sync.client import Client, ClientPaths
from sync.drafts import Content, DraftContext, draft, new_epoch
from sync.fold import Author, apply
from sync.identity import Identity
from sync.keychain import Keychain
from sync.membership import Bucket, create_team, invite, join
from sync.team import InviteTerms, founding
from sync.validity import LogPoint, MemoryInRam, Verdict, judge

NOW_MS = 1_790_000_000_000


@dataclass(frozen=True)
class Person:
    """A member with the secret that is normally only on paper."""

    member: SecretKeys
    identity: Identity

    def device(self, name: str = "another device") -> "Person":
        """The same member on a further device, certified by the member key."""
        keys = new_device_keys()
        certificate = certify(self.member, self.identity.member_id, keys.public)
        return replace(
            self,
            identity=replace(
                self.identity, name=name, device=keys, certified_by=None, certificate=certificate
            ),
        )


def person(name: str) -> Person:
    """Somebody new."""
    member, device = member_keys(token_bytes(32)), new_device_keys()
    certificate = certify(member, member_id(member.public), device.public)
    return Person(member, Identity(name, member.public, device, None, certificate))


def client(who: Person, store: BlobStore, home: Path) -> Client:
    """A client of that person; the probe is the business of its own tests."""
    made = Client(who.identity, store, ClientPaths(home / "team.db", home / "cache", home / "evidence"))
    made.probe_once = lambda: None  # type: ignore[method-assign]
    return made


def founded(store: BlobStore, home: Path, name: str | Person = "ana") -> Client:
    """A client whose person has just founded a team."""
    made = client(person(name) if isinstance(name, str) else name, store, home)
    create_team(made, "the team")
    return made


def joined(owner: Client, store: BlobStore, home: Path, name: str | Person = "ben") -> Client:
    """A client whose person has just joined the owner's team."""
    owner.log.catch_up()
    link = invite(owner, InviteTerms(1, None), Bucket("file:///unused"))
    made = client(person(name) if isinstance(name, str) else name, store, home)
    join(made, link)
    owner.log.catch_up()
    return made


class Book:
    """A log without a store: slots in a list, judged one by one. For tests of the rules alone."""

    def __init__(self, owner: Person) -> None:
        self.owner = owner
        self.memory = MemoryInRam()
        self.point = LogPoint()
        self.slots: list[bytes] = []
        self.write(founding(self.context(owner), "the team"))

    def context(self, who: Person) -> DraftContext:
        """What `who` drafts for: the next slot."""
        return DraftContext(self.point, len(self.slots), token_bytes(16), NOW_MS, who.identity)

    def put(self, data: bytes) -> Verdict:
        """Occupy the next slot with any bytes."""
        verdict = judge(self.point, self.memory, len(self.slots), data)
        self.slots.append(data)
        self.point = verdict.point
        return verdict

    def write(self, data: bytes) -> Commit:
        """Occupy the next slot with a commit that must be valid."""
        verdict = self.put(data)
        assert verdict.commit is not None, verdict.void_reason
        return verdict.commit

    def void_reason(self, data: bytes) -> str:
        """Occupy the next slot with bytes that must be void."""
        verdict = self.put(data)
        assert verdict.commit is None, "was accepted"
        assert verdict.void_reason is not None
        return verdict.void_reason

    def says(self, who: Person, told: list[events.Event], content: Content | None = None) -> bytes:
        """A commit by `who` in the team space, its events taken as they are, with the epoch they end up in."""
        roster = self.point.roster
        assert roster is not None
        key = self._key(who)
        return draft(self.context(who), roster.team, key, content or Content(told))

    def ends(self, who: Person, told: list[events.Event]) -> bytes:
        """As `says`, with the team epoch that must follow the end of a right."""
        roster = self.point.roster
        assert roster is not None
        after = roster
        for event in told:
            after = apply(after, event, Author(who.identity.device_id, len(self.slots)))
        readers = after.recipients(after.spaces[after.team_space])
        epoch, key = new_epoch(roster.team, roster.team_space, self._key(who), readers)
        return draft(self.context(who), roster.team, key, Content([*told, epoch]))

    def _key(self, who: Person) -> SealKey:
        roster = self.point.roster
        assert roster is not None
        return Keychain([who.identity.device, who.member, self.owner.identity.device]).newest(
            roster, roster.team_space
        )
