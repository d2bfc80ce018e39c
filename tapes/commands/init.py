"""`tapes init`: a member, its first device, and the recovery kit, in an order in which a kill leaves all or nothing.

kit (file written, or words confirmed)  →  settings  →  device key in the vault  →  identity.json
"""

import getpass
from pathlib import Path
from secrets import token_bytes
from typing import Annotated

from cyclopts import Parameter

from crypto.vault import VaultMode, open_vault
from sync.identity import Identity
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.kit_handing import hand_over_kit, require_a_place
from tapes.commands.prompts import ask, can_ask
from tapes.commands.vaults import choose_vault
from tapes.home import read_passphrase
from tapes.identity import check_name, create_identity, refuse_second


def init(
    *,
    name: Annotated[
        str | None, Parameter(help="What the team calls you; asked, else your login name.")
    ] = None,
    kit_out: Annotated[
        Path | None,
        Parameter(help="Write the recovery kit to this new file (mode 0600) instead of showing it."),
    ] = None,
    vault: Annotated[
        VaultMode | None, Parameter(help="Where device keys rest; auto: the OS keyring if there is one.")
    ] = None,
    yes: Annotated[bool, Parameter(help="Ask nothing: no confirmation of the kit.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Make this device's identity and its recovery kit."""
    run = begin(flags)
    refuse_second(run.home.identity)
    require_a_place(run, kit_out, "tapes init --yes --kit-out FILE")
    called = check_name(name or _ask_name(run, yes=yes))
    mode = choose_vault(run, vault)
    device_vault = open_vault(run.home.path, mode, read_passphrase())
    run.home.prepare()
    secret = token_bytes(32)
    hand_over_kit(run, called, secret, kit_out, confirm=not yes)
    run.config.set({"keys.vault": mode})
    identity = create_identity(run.home.identity, device_vault, called, secret)
    _tell(run, identity, kit_out)
    return 0


def _ask_name(run: Run, *, yes: bool) -> str:
    try:
        login = getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry
        login = "me"
    if yes or not can_ask(run):
        return login
    return ask(run, f"Your name, as the team will see it [{login}]:") or login


def _tell(run: Run, identity: Identity, kit_out: Path | None) -> None:
    fields = {
        "member_id": identity.member_id.hex(),
        "device_id": identity.device_id.hex(),
        "name": identity.name,
        "home": str(run.home.path),
        "kit_file": str(kit_out) if kit_out is not None else None,
    }
    if run.flags.json:
        run.out.answer("init", fields)
    run.out.say(f"{identity.name}, member {identity.member_id.hex()[:12]}, in {run.home.path}", "green")
    if kit_out is not None:
        run.out.say(
            f"The recovery kit is in {kit_out}: print it or store it elsewhere, then delete the file."
        )
    run.out.say("Next: tapes import claude")
