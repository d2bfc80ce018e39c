"""Giving up objects that commits name and nobody can have: their absence is no finding any more, and nobody waits for it.

Nothing is lost by it: what is there after all still counts, gc never touches what a commit names, and pushes go on without the
event, too (decision 0009). Only the noise ends, and `verify` goes on to say what is missing and who gave it up.
"""

from collections.abc import Sequence
from typing import Final

from crypto.errors import KeyNeeded, UsageError, VerificationFailed
from store import events
from store.commits import ObjectRef, name_of
from sync.client import Client
from sync.drafts import Content, DraftContext, draft
from sync.housekeeping import keep_house
from sync.inventory import digest_of

given_up_at_once_max: Final = 4096  # names in one commit: a third of its bytes


def give_up(client: Client, names: Sequence[str], *, dry_run: bool = False) -> list[str]:
    """Say of each named object that it cannot be had; the names that were not given up before. Safe to kill and to repeat.

    UsageError, and nothing written, for a name that no commit names or an object that is there and whole. KeyNeeded for who is no
    owner or admin.
    """
    with client.alone():
        client.log.refresh()
        _require_admin(client)
        lost = [ref for name in dict.fromkeys(names) if (ref := _lost(client, name)) is not None]
        if not dry_run and lost:
            keep_house(client)
            for start in range(0, len(lost), given_up_at_once_max):
                some = lost[start : start + given_up_at_once_max]
                # A kill between two commits leaves the first ones said; the next run says the rest.
                client.commit(lambda context, these=some: _saying(context, client, these))  # type: ignore[misc]
    return [name_of(ref) for ref in lost]


def _require_admin(client: Client) -> None:
    if client.require_membership().members[client.identity.member_id].role == "member":
        raise KeyNeeded("only an owner or admin gives objects up", hint="ask one of them: tapes team members")


def _lost(client: Client, name: str) -> ObjectRef | None:
    """The object of a name, if it was not given up before; looked for twice, as one garbled answer is no loss."""
    digest = digest_of(name)
    refs = client.replica.named_as(digest) if digest is not None else []
    ref = next((ref for ref in refs if name_of(ref) == name), None)
    if ref is None:
        raise UsageError(f"no commit names {name!r}", hint="`tapes verify` lists what is missing, by name")
    if name in client.roster.given_up:
        return None
    for _ in range(2):
        try:
            client.cache.fetch(ref)
        except VerificationFailed:
            continue
        raise UsageError(f"{name} is there and whole", hint="only what nobody can have is given up")
    return ref


def _saying(context: DraftContext, client: Client, lost: Sequence[ObjectRef]) -> bytes | None:
    """The commit; None when somebody else said all of it meanwhile."""
    _require_admin(client)
    roster = client.roster
    still = [ref for ref in lost if name_of(ref) not in roster.given_up]
    if not still:
        return None
    objects = [events.ObjectName.model_validate(ref.model_dump(exclude={"bytes"})) for ref in still]
    told = events.ObjectsGivenUp(type="objects_given_up", objects=objects)
    key = client.keychain.newest(roster, roster.team_space)
    return draft(context, roster.team, key, Content([told]))
