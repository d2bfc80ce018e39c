"""Own turns whose packs the bucket lost: who still has them, here or in an agent's log, sends them again, in new packs.

The commit that named the lost pack stays what it is, and so does its manifest; the turns come again under a later commit of the
same member, whose rows are then the ones that are shown.
"""

from collections.abc import Collection, Iterator

from crypto.errors import VerificationFailed
from sync.client import Client
from sync.outbox import Outbox, SpaceKind, look_again
from sync.pull import open_kept

Lost = dict[bytes, set[bytes]]  # space → node hashes


def lost_turns(client: Client, outbox: Outbox | None, missing: Collection[str]) -> Lost:
    """This member's turns in packs of these names, or in packs given up, that lie in no other pack and that a sync would send.

    Without an outbox (cloud) all of them: what the agents' logs still have, the next import knows.
    """
    gone = {
        name.rsplit("/", 1)[-1] for name in (*missing, *client.roster.given_up) if name.startswith("packs/")
    }
    lost: Lost = {}
    if not gone:
        return lost
    safe: Lost = {}
    for space, node, pack in _own_rows(client):
        (lost if pack.hex() in gone else safe).setdefault(space, set()).add(node)
    turns = {space: nodes - safe.get(space, set()) for space, nodes in lost.items()}
    if outbox is not None:
        turns = {space: _that_go_out(client, outbox, space, nodes) for space, nodes in turns.items() if nodes}
    return {space: nodes for space, nodes in turns.items() if nodes}


def _that_go_out(client: Client, outbox: Outbox, space: bytes, nodes: set[bytes]) -> set[bytes]:
    """Those in the local store whose content is meant for this space now.

    Of others nothing may be forgotten: no sync would send their bytes, so that they would be announced for ever.
    """
    kind: SpaceKind = "team" if space == client.roster.team_space else "private"
    return {
        digest
        for outgoing in outbox.conversations(kind, None)
        if outgoing.content == "full"
        for node in outbox.pending(outgoing, None)
        if (digest := bytes.fromhex(node.facts.hash)) in nodes
    }


def _own_rows(client: Client) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(space, node, pack) of every row with a place in this member's manifests, as far as they can be read."""
    for pending in client.replica.manifests("applied"):
        if client.roster.devices[pending.device].member != client.identity.member_id:
            continue
        try:
            table = open_kept(client, pending).table
        except VerificationFailed:
            continue  # neither here nor in the bucket: named by heal-log and verify
        columns = (table.column(name).to_pylist() for name in ("hash", "pack"))
        for node, pack in zip(*columns, strict=True):
            if pack is not None:
                yield pending.space, node, pack


def send_again(client: Client, lost: Lost) -> None:
    """Have the next sync push these turns. One transaction: a kill leaves all to be sent, or none and the next run to say so."""
    with client.replica.transaction():
        for space, nodes in lost.items():
            client.replica.forget_synced(space, nodes)
        look_again(client.replica)
