"""Own turns whose packs or manifests the bucket lost: who still has them, here or in an agent's log, sends them again.

The commit that named the lost object stays what it is; the turns come again, in new packs, under a later commit of the same
member, whose rows are then the ones that are shown.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from crypto.errors import VerificationFailed
from sync.client import Client
from sync.outbox import Outbox, SpaceKind, look_again
from sync.pull import open_kept

Lost = dict[bytes, set[bytes]]  # space → node hashes


def lost_turns(client: Client, outbox: Outbox | None, missing: Collection[str]) -> Lost:
    """This member's turns in objects of these names, or in ones given up, that lie nowhere else and that a sync would send.

    Without an outbox (cloud) all those of packs: what the agents' logs still have, the next import knows.
    """
    gone = {name.rsplit("/", 1)[-1] for name in (*missing, *client.roster.given_up)}
    if not gone:
        return {}
    found = _own_turns(client, gone)
    turns = {space: nodes - found.safe.get(space, set()) for space, nodes in found.lost.items()}
    if outbox is not None:
        for space in {*turns, *found.unreadable}:
            turns[space] = _that_go_out(client, outbox, space, turns.get(space, set()), found)
    return {space: nodes for space, nodes in turns.items() if nodes}


@dataclass(slots=True)
class _OwnTurns:
    """What this member's manifests say; `unreadable`: spaces with one that is neither in the bucket nor here any more."""

    lost: Lost = field(default_factory=dict)  # in packs that are gone
    safe: Lost = field(default_factory=dict)  # in others
    unreadable: set[bytes] = field(default_factory=set)


def _own_turns(client: Client, gone: Collection[str]) -> _OwnTurns:
    found = _OwnTurns()
    for pending in client.replica.manifests("applied"):
        if client.roster.devices[pending.device].member != client.identity.member_id:
            continue
        try:
            table = open_kept(client, pending).table
        except VerificationFailed:
            found.unreadable.add(pending.space)
            continue
        columns = (table.column(name).to_pylist() for name in ("hash", "pack"))
        for node, pack in zip(*columns, strict=True):
            if pack is not None:
                rows = found.lost if pack.hex() in gone else found.safe
                rows.setdefault(pending.space, set()).add(node)
    return found


def _that_go_out(
    client: Client, outbox: Outbox, space: bytes, nodes: set[bytes], found: _OwnTurns
) -> set[bytes]:
    """Those in the local store whose content is meant for this space now; with an unreadable manifest, all that no other one has.

    Of others nothing may be forgotten: no sync would send their bytes, so that they would be announced for ever.
    """
    kind: SpaceKind = "team" if space == client.roster.team_space else "private"
    safe = found.safe.get(space, set())
    here = (
        bytes.fromhex(node.facts.hash)
        for outgoing in outbox.conversations(kind, None)
        if outgoing.content == "full"
        for node in outbox.pending(outgoing, None)
    )
    return {
        digest
        for digest in here
        if digest in nodes
        or (
            space in found.unreadable
            and digest not in safe
            and client.replica.content_there(space, digest) is not None
        )
    }


def send_again(client: Client, lost: Lost) -> None:
    """Have the next sync push these turns. One transaction: a kill leaves all to be sent, or none and the next run to say so."""
    with client.replica.transaction():
        for space, nodes in lost.items():
            client.replica.forget_synced(space, nodes)
        look_again(client.replica)
