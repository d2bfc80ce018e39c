"""`tapes device join`: the half of linking that runs on the new device.

device keys in the vault, under the code's name  →  the request in the bucket  →  the admission in the log  →  identity.json
A kill anywhere: the same code again goes on, with the same keys. There is never a second member, and never a key that travels.
"""

import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from crypto.errors import UsageError
from crypto.identities import SecretKeys, device_id, new_device_keys, unpack_secret_keys
from crypto.linking import fingerprint, link_id
from crypto.vault import Vault, VaultMode, open_vault
from store.blobs import BlobStore
from store.open_store import compose
from sync.fragments import fragment_chars_max
from sync.identity import Identity
from sync.labels import read_labels
from sync.linking import Admitted, LinkCode, NewDevice, Patience, parse_code
from sync.log import LogReader
from sync.replica import Replica
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk, open_bucket
from tapes.commands.joining import drop_replica
from tapes.commands.storage_configure import save_bucket
from tapes.commands.vaults import choose_vault
from tapes.home import read_passphrase
from tapes.identity import check_name, keep_identity, refuse_second

_ONE_OF = "tapes device join CODE, or --code-file FILE, or - to read it from stdin"


def device_join(
    code: Annotated[
        str | None, Parameter(help="The code, or - to read it from stdin.", allow_leading_hyphen=True)
    ] = None,
    /,
    *,
    code_file: Annotated[Path | None, Parameter(help="Read the code from this file.")] = None,
    name: Annotated[str | None, Parameter(help="What to call this device; else its host name.")] = None,
    vault: Annotated[
        VaultMode | None, Parameter(help="Where device keys rest; auto: the OS keyring if there is one.")
    ] = None,
    flags: Flags = no_flags,
) -> int:
    """Make this a further device of yours, with the code that `tapes device link` shows on another."""
    run = begin(flags)
    refuse_second(run.home.identity)
    link = parse_code(_code_text(run, code, code_file))
    called = device_name(name)
    mode = choose_vault(run, vault)
    run.home.prepare()
    device_vault = open_vault(run.home.path, mode, read_passphrase())
    with Desk(run) as desk:
        desk.lock()
        drop_replica(run.home)
        run.config.set({"keys.vault": mode})
        keys = _keys(device_vault, link)
        bare = open_bucket(run, link.bucket)
        admitted = _wait(run, compose(bare)[0], link, keys, called)
        identity = _identity(desk, link, keys, admitted)
        keep_identity(run.home.identity, device_vault, identity)
        device_vault.delete(_vault_name(link))
    save_bucket(run, link.bucket)
    _answer(run, link, identity, called)
    return 0


def device_name(name: str | None) -> str:
    """What a device is called; it travels sealed."""
    return check_name(name if name is not None else socket.gethostname() or "a device")


def _keys(vault: Vault, link: LinkCode) -> SecretKeys:
    """This device's keys for this code: made once, so that an interrupted run is the same device when it goes on."""
    kept = vault.load(_vault_name(link))
    keys = unpack_secret_keys(kept) if kept is not None else new_device_keys()
    if kept is None:
        vault.save(_vault_name(link), keys.pack())
    return keys


def _vault_name(link: LinkCode) -> str:
    return f"link-{link_id(link.secret).hex()}"


def _wait(run: Run, store: BlobStore, link: LinkCode, keys: SecretKeys, name: str) -> Admitted:
    replica = Replica.open(
        run.home.replica, bytes(32)
    )  # the key of its tags, of which reading the log makes none
    try:
        log = LogReader(store, replica, run.home.evidence)
        device = NewDevice(store, log, replica, keys, link, Patience())
        device.ask(name)
        run.out.say(f"This device's fingerprint: {fingerprint(keys.public)}", "bold")
        run.out.say("waiting for the other device, which must show the same …")
        return device.await_admission()
    finally:
        replica.close()


def _identity(desk: Desk, link: LinkCode, keys: SecretKeys, admitted: Admitted) -> Identity:
    """Who this device is now, by the name its member goes by in the team."""
    nameless = Identity("me", admitted.member, keys, admitted.certified_by, admitted.certificate)
    named = read_labels(desk.client_of(link.bucket, nameless)).members.get(nameless.member_id)
    return replace(nameless, name=named) if named is not None else nameless


def _answer(run: Run, link: LinkCode, identity: Identity, called: str) -> None:
    if run.flags.json:
        fields = {
            "device_id": device_id(identity.device.public).hex(),
            "member_id": identity.member_id.hex(),
            "team_id": link.team.hex(),
            "name": called,
            "bucket": link.bucket.url,
            "fingerprint": fingerprint(identity.device.public),
        }
        run.out.answer("device-join", fields)
    else:
        run.out.say(f"{called} is a device of {identity.name} now, in {link.bucket.url}", "green")
        run.out.say("Next: tapes storage sync")


def _code_text(run: Run, code: str | None, code_file: Path | None) -> str:
    """The code from exactly one place. As an argument it is in `ps` and in the shell's history: that is said."""
    if (code is None) == (code_file is None):
        raise UsageError("give one code", hint=_ONE_OF)
    if code_file is not None:
        try:
            with code_file.expanduser().open(encoding="utf-8") as file:
                return file.read(fragment_chars_max + 1)
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{code_file} cannot be read: {type(error).__name__}", hint=_ONE_OF) from None
    if code == "-":
        return sys.stdin.readline(fragment_chars_max + 1)
    run.out.warn(
        "a code on the command line can be seen by others on this machine; - or --code-file hides it"
    )
    return code or ""
