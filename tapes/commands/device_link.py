"""`tapes device link`: the half that runs on a device which is in the team already."""

from typing import Annotated

from cyclopts import Parameter

from crypto.errors import UsageError
from crypto.identities import device_id
from crypto.linking import fingerprint
from sync.linking import LinkCode, LinkRequest, Patience, admit, await_request, format_code, offer, withdraw
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.prompts import ask, can_ask


def device_link(
    *,
    yes: Annotated[bool, Parameter(help="Do not ask whether both screens show the same.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Print a code that links one further device of yours, wait for it, and admit it. The code is good for ten minutes."""
    run = begin(flags)
    if not yes and not can_ask(run):
        raise UsageError("there is no terminal to compare fingerprints at", hint="tapes device link --yes")
    patience = Patience()
    with Desk(run) as desk:
        code = offer(desk.client, desk.bucket, patience)
        _show(run, code)
        request = await_request(desk.client, code, patience)
        mark = fingerprint(request.keys)
        run.out.say(f"{request.name} asks to be linked. Its fingerprint: {mark}", "bold")
        if not yes and ask(run, "Does the new device show the same? [y/N]").lower() not in {"y", "yes"}:
            withdraw(desk.client, code)
            raise UsageError(
                "not linked; nothing was committed",
                hint="somebody else may have seen the code: make a new one, and keep it to yourself",
            )
        left = admit(desk.client, code, request, patience)
    if left is not None:
        run.out.say(f"the request could not be removed ({left.message}); it is useless now")
    _answer(run, request, mark)
    return 0


def _show(run: Run, code: LinkCode) -> None:
    """The code is data, but for `--json`, whose one answer comes when all is done."""
    if run.flags.json:
        run.out.say(format_code(code))
    else:
        run.out.lines([format_code(code)])
    run.out.say("On the new device, within ten minutes: tapes device join -   (and paste this code)")
    run.out.warn("whoever has this code in that time can ask to be you: show it to nobody else")


def _answer(run: Run, request: LinkRequest, mark: str) -> None:
    linked = device_id(request.keys).hex()
    if run.flags.json:
        run.out.answer("device-link", {"device_id": linked, "name": request.name, "fingerprint": mark})
    else:
        run.out.say(f"{request.name} is linked, device {linked[:12]}", "green")
