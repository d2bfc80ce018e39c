"""What the box audit and the leaves cost: per epoch by size of the team, per push by conversations and nodes.

    python -m bench.audit [--repeat 5]

The audit is part of judging an epoch (decision 0002): every client compares the boxes with who may read. Its peer is the one
Ed25519 check of the same commit. The leaves' peer is one SHA-256 over the bytes of the same nodes. Medians; nothing is stored.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from secrets import token_bytes
from statistics import median

from crypto import leaves
from store.commits import is_signed
from sync.drafts import Content, draft, new_epoch
from sync.roster import Device, Member, Roster
from sync.validity import MemoryInRam, judge
from tests.actors import Book, person

MEMBERS = (10, 100, 1000)
NODE_BYTES = 4096
PUSHES = ((1, 10), (10, 10), (100, 10), (1, 1000), (1000, 4))


def _median_ms(action: Callable[[], object], repeat: int) -> float:
    spent = []
    for _ in range(repeat):
        start = time.perf_counter()
        action()
        spent.append(time.perf_counter() - start)
    return median(spent) * 1000


def _with_members(book: Book, count: int) -> Roster:
    """The owner's team and strangers in it, one device each; their keys are real enough to be sealed to."""
    roster = book.point.roster
    assert roster is not None  # noqa: S101 - founded
    members, devices = dict(roster.members), dict(roster.devices)
    for _ in range(count - 1):
        other = person("one of many")
        member = Member(other.identity.member_id, other.member.public, "member", 0)
        device = Device(other.identity.device_id, other.identity.device.public, member.id, None, 0, 0)
        members[member.id], devices[device.id] = member, device
    return replace(roster, members=members, devices=devices)


def _epochs(count: int, repeat: int) -> None:
    owner = person("ana")
    book = Book(owner)
    roster = _with_members(book, count)
    book.point = replace(book.point, roster=roster)
    key = book._key(owner)  # noqa: SLF001 - the founder's
    readers = roster.recipients(roster.spaces[roster.team_space])

    def write() -> bytes:
        epoch, newer = new_epoch(roster.team, roster.team_space, key, readers)
        return draft(book.context(owner), roster.team, newer, Content([epoch]))

    data = write()
    commit = book.write(data)
    book.point = replace(book.point, roster=roster)

    def audit() -> bool:
        fresh = replace(roster)  # a roster answers the question once; an event makes a new one
        wraps = {
            bytes.fromhex(wrap.to) for event in commit.events if event.type == "epoch" for wrap in event.wraps
        }
        return wraps == fresh.recipients(fresh.spaces[fresh.team_space])

    seq = commit.seq
    before = replace(book.point, prev=bytes.fromhex(commit.prev or ""))
    judged = _median_ms(lambda: judge(before, MemoryInRam(), seq, data), repeat)
    signed = _median_ms(lambda: is_signed(data, commit, owner.identity.device.public.ed25519), repeat)
    audited = _median_ms(audit, repeat)
    assert audit() and judge(before, MemoryInRam(), seq, data).commit is not None  # noqa: S101, PT018 - of something valid
    sealed = _median_ms(write, repeat)
    print(
        f"{count:8} members  {len(readers):6} boxes  {len(data) / 1000:8.1f} kB  sealed {sealed:8.2f} ms  judged {judged:7.2f} ms"
        f"  of it audit {audited:6.2f} ms  signature {signed:6.3f} ms  audit/signature {audited / signed:6.1f}"
    )


def _leaves(conversations: int, nodes_each: int, repeat: int) -> None:
    nodes = [token_bytes(NODE_BYTES) for _ in range(nodes_each)]
    space, device, conversation = token_bytes(16), token_bytes(32), token_bytes(32)

    def all_leaves() -> None:
        for _ in range(conversations):
            made = [
                leaves.node_commitment(token_bytes(leaves.opening_bytes), conversation, node)
                for node in nodes
            ]
            root, k_tag = leaves.batch_root(made), token_bytes(32)
            leaves.leaf_tag(k_tag, device, 0)
            fields = leaves.LeafFields(space, conversation, device, 0, k_tag, b"", root, len(nodes), b"null")
            leaves.leaf_commitment(token_bytes(32), fields)

    def hashed() -> None:
        for _ in range(conversations):
            for node in nodes:
                sha256(node).digest()

    spent, bare = _median_ms(all_leaves, repeat), _median_ms(hashed, repeat)
    total = conversations * nodes_each
    print(
        f"{conversations:8} conversations x {nodes_each:5} nodes  {spent:8.2f} ms  {spent * 1000 / total:6.1f} us per node"
        f"  one SHA-256 of the same {bare:8.2f} ms  ratio {spent / bare:5.2f}"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    print("the box audit of one team epoch")
    for count in MEMBERS:
        _epochs(count, repeat)
    print(
        f"the leaves of one push, nodes of {NODE_BYTES} bytes; in the commit each takes 123 bytes, in the manifest 32 per node"
    )
    for conversations, nodes_each in PUSHES:
        _leaves(conversations, nodes_each, repeat)


if __name__ == "__main__":
    main()
