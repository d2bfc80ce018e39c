"""`tapes recover`: all devices are gone, the kit is not.

identity (a new device, certified by the kit)  →  device key in the vault  →  identity.json  →  the admission in the log
A kill after identity.json: the same command again finds it there and finishes.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from crypto.errors import VerificationFailed
from crypto.identities import SecretKeys
from crypto.vault import VaultMode, open_vault
from sync.client import Client
from sync.identity import Identity
from sync.membership import Bucket
from sync.recovery import Head, Recognised, as_member, kit_identity, recognise
from sync.recovery import recover as recover_device
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.device_join import device_name
from tapes.commands.joining import drop_replica
from tapes.commands.kit_reading import read_kit
from tapes.commands.storage_configure import save_bucket
from tapes.commands.vaults import choose_vault
from tapes.home import read_passphrase
from tapes.identity import keep_identity, refuse_second


def recover(
    *,
    bucket: Annotated[str, Parameter(help="The team's bucket: s3://bucket/prefix or file:///path.")],
    kit: Annotated[
        Path | None,
        Parameter(
            help="The recovery kit's file, or - for stdin; else it is asked for.", allow_leading_hyphen=True
        ),
    ] = None,
    endpoint_url: Annotated[str | None, Parameter(help="For an S3 that is not Amazon's.")] = None,
    region: Annotated[str | None, Parameter(help="The S3 region.")] = None,
    name: Annotated[str | None, Parameter(help="What to call this device; else its host name.")] = None,
    vault: Annotated[
        VaultMode | None, Parameter(help="Where device keys rest; auto: the OS keyring if there is one.")
    ] = None,
    past_void: Annotated[
        bool,
        Parameter(
            negative="",
            help="Go on although the log ends in void slots: when a teammate says they are garbage.",
        ),
    ] = False,
    flags: Flags = no_flags,
) -> int:
    """Make this a device of yours with nothing but the recovery kit and the bucket."""
    run = begin(flags)
    place, called, keys = Bucket(bucket, endpoint_url, region), device_name(name), read_kit(run, kit)
    run.home.prepare()
    with Desk(run) as desk:
        desk.lock()
        identity, found = _recognised(desk, place, keys, vault, past_void=past_void)
        say_head(run, found.head)
        recover_device(desk.client_of(place, identity), keys, called)
    save_bucket(run, place)
    _answer(run, identity, found, place)
    return 0


def _recognised(
    desk: Desk, place: Bucket, kit: SecretKeys, vault: VaultMode | None, *, past_void: bool
) -> tuple[Identity, Recognised]:
    """This home's identity: made now, or by a run that was interrupted. Nothing is kept before the kit fits the bucket.

    One altered byte takes all commits behind it along for whoever has seen none of them: a commit on what is left would be a
    fork, and step over the others for good. So a log that ends in void slots is for a person to judge.
    """
    home = desk.run.home
    if home.identity.exists():
        client = desk.client_of(place)
        if not _is_kit_of(client, kit):
            refuse_second(home.identity)
        return desk.identity, _judged(recognise(client, kit), past_void=past_void)
    drop_replica(home)
    nameless = kit_identity(kit, "me")
    found = _judged(recognise(desk.client_of(place, nameless), kit), past_void=past_void)
    identity = as_member(nameless, kit, found)
    mode = choose_vault(desk.run, vault)
    desk.run.config.set({"keys.vault": mode})
    keep_identity(home.identity, open_vault(home.path, mode, read_passphrase()), identity)
    return identity, found


def _judged(found: Recognised, *, past_void: bool) -> Recognised:
    if found.after is not None and not past_void:
        raise VerificationFailed(
            found.after.obj,
            found.after.problem,
            hint=f"{found.after.hint}. If a teammate's `tapes verify` calls them void too: --past-void",
        )
    return found


def _is_kit_of(client: Client, kit: SecretKeys) -> bool:
    """Whether the kit is, or as far as this home has read the log became, that of the home's member. No request."""
    roster = client.log.point.roster
    member = roster.holder_of(kit.public) if roster is not None else None
    mine = client.identity
    return mine.member == kit.public or (member is not None and member.id == mine.member_id)


def say_head(run: Run, head: Head) -> None:
    """What only a person can judge: whether this was really the newest state."""
    run.out.say(f"the log ends at commit {head.seq}, written {moment(head)} by its author's clock")
    run.out.warn(
        "whether newer commits were taken away before now cannot be seen from here: if you know of a later one,"
        " ask a teammate whose device still has it"
    )


def moment(head: Head) -> str:
    """When the newest commit says it was written; a clock in the log may say anything, even what no calendar has."""
    try:
        return datetime.fromtimestamp(head.at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{head.at_ms} ms after 1970"


def _answer(run: Run, identity: Identity, found: Recognised, place: Bucket) -> None:
    if run.flags.json:
        fields = {
            "member_id": identity.member_id.hex(),
            "device_id": identity.device_id.hex(),
            "name": identity.name,
            "team": found.team,
            "bucket": place.url,
            "head_seq": found.head.seq,
            "head_at": moment(found.head),
        }
        run.out.answer("recover", fields)
    else:
        run.out.say(f"this is a device of {identity.name} now, in {found.team or place.url}", "green")
        run.out.say("Next: tapes storage sync, then tapes device list, and revoke each device that is lost")
