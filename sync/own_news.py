"""What came about with this member's own kit and devices and is not this device's doing: told once, so that no thief is silent.

The roster shows it for ever (`tapes device list`); this only brings it to somebody's eyes. A kill between the note and the screen
loses the telling, not the fact.
"""

from collections.abc import Iterator

from crypto.kit import mark_of
from sync.client import Client
from sync.roster import Member

_note_told = "own-news-told-seq"


def tell_own_news(client: Client) -> list[str]:
    """What the log says since the last call, or since this device came in, one line each."""
    roster, newest = client.log.point.roster, client.replica.newest_seq()
    me = roster.devices.get(client.identity.device_id) if roster is not None else None
    if me is None or newest is None:
        return []
    note = client.replica.note(_note_told)
    told_seq = int(note) if note is not None else me.admitted_seq
    if told_seq != newest:
        mark_told(client, newest)
    return list(_since(client, client.roster.members[me.member], told_seq))


def mark_told(client: Client, seq: int) -> None:
    """Everything up to this slot is known to who uses this device."""
    client.replica.set_note(_note_told, str(seq))


def _since(client: Client, member: Member, told_seq: int) -> Iterator[str]:
    for device in client.roster.devices_of(member.id):
        let_itself_in = device.line_seq == device.admitted_seq > told_seq
        if let_itself_in and device.id != client.identity.device_id:
            short = device.id.hex()[:12]
            yield (
                f"your recovery kit let in device {short} at commit {device.admitted_seq}; if that was not you:"
                f" tapes device revoke {short}, then tapes member rekey (docs/recovery.md, chapter 3)"
            )
    if member.rekeyed_seq is not None and member.rekeyed_seq > told_seq:
        yield (
            f"your recovery kit was replaced at commit {member.rekeyed_seq}; the one that counts now has the mark"
            f" {mark_of(member.keys)}. If that was not you: docs/recovery.md, chapter 3"
        )
