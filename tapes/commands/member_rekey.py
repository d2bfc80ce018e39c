"""`tapes member rekey`: another recovery kit, in an order in which a kill leaves one kit that counts, and says which.

old kit, checked against the log  →  new kit (file written, or words confirmed)  →  one commit: from here the new one counts
A kill before the commit leaves the old kit and a page that is worth nothing. One around it is settled by the next command that
writes; running this again with the old kit then says that it was replaced, and the mark of the page that counts.
"""

from pathlib import Path
from secrets import token_bytes
from typing import Annotated

from cyclopts import Parameter

from crypto.identities import member_keys
from crypto.kit import mark_of
from sync.rekey import Rekeyed, check_rekey
from sync.rekey import rekey as rekey_member
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.credentials import say_rotate
from tapes.commands.desk import Desk
from tapes.commands.kit_handing import hand_over_kit, require_a_place
from tapes.commands.kit_reading import read_kit


def member_rekey(
    *,
    kit: Annotated[
        Path | None,
        Parameter(
            help="The present kit's file, or - for stdin; else it is asked for.", allow_leading_hyphen=True
        ),
    ] = None,
    kit_out: Annotated[
        Path | None, Parameter(help="Write the new kit to this new file (mode 0600) instead of showing it.")
    ] = None,
    yes: Annotated[bool, Parameter(help="Ask nothing: no confirmation of the new kit.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Replace the recovery kit, when somebody may have seen it. Ends the devices that it alone had let in."""
    run = begin(flags)
    require_a_place(run, kit_out, "tapes member rekey --yes --kit KIT --kit-out FILE")
    old, secret = read_kit(run, kit), token_bytes(32)
    new = member_keys(secret)
    with Desk(run) as desk:
        desk.lock()
        check_rekey(desk.client, old, new)
        hand_over_kit(run, desk.identity.name, secret, kit_out, confirm=not yes)
        run.out.say("keep both kits until this has ended well; if it does not, run it again with the old one")
        rekeyed = rekey_member(desk.client, old, new)
        member = desk.identity.member_id
    _answer(run, member, rekeyed, mark_of(new.public), kit_out)
    return 0


def _answer(run: Run, member: bytes, rekeyed: Rekeyed, mark: str, kit_out: Path | None) -> None:
    if run.flags.json:
        fields = {
            "member_id": member.hex(),
            "seq": rekeyed.seq,
            "kit_mark": mark,
            "kit_file": str(kit_out) if kit_out is not None else None,
            "revoked": [each.hex() for each in rekeyed.revoked],
        }
        run.out.answer("member-rekey", fields)
    else:
        run.out.say(f"from commit {rekeyed.seq} on only the kit with the mark {mark} counts", "green")
        for each in rekeyed.revoked:
            run.out.say(f"device {each.hex()[:12]}, which the old kit had let in, is revoked", "yellow")
    if kit_out is not None:
        run.out.say(f"The new kit is in {kit_out}: print it, then delete the file and destroy the old page.")
    say_rotate(run)
