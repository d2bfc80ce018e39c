"""`tapes team join`."""

import sys
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from crypto.errors import UsageError
from sync.links import InviteLink, link_chars_max, parse_link
from sync.membership import Bucket, join, team_name
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.joining import forget_strangers_log
from tapes.commands.prompts import ask, can_ask
from tapes.commands.storage_configure import save_bucket

_PUBLISH: Final = "team.publish_stats"
_ONE_OF: Final = "tapes team join LINK, or --link-file FILE, or - to read it from stdin"


def team_join(
    link: Annotated[
        str | None, Parameter(help="The link, or - to read it from stdin.", allow_leading_hyphen=True)
    ] = None,
    /,
    *,
    link_file: Annotated[Path | None, Parameter(help="Read the link from this file.")] = None,
    flags: Flags = no_flags,
) -> int:
    """Join a team. The link names the bucket; its credentials are the usual AWS ones."""
    run = begin(flags)
    invite = parse_link(_link_text(run, link, link_file))
    bucket = Bucket(invite.bucket_url, invite.endpoint_url, invite.region)
    with Desk(run) as desk:
        desk.lock()
        forget_strangers_log(desk)
        name = _join(desk, invite, bucket)
    save_bucket(run, bucket)
    _ask_to_publish(run)
    if flags.json:
        run.out.answer("team-join", {"team_id": invite.team.hex(), "name": name, "bucket": bucket.url})
    else:
        run.out.say(f"joined {name or 'the team'}, in {bucket.url}", "green")
        run.out.say("Next: tapes storage sync")
    return 0


def _join(desk: Desk, invite: InviteLink, bucket: Bucket) -> str | None:
    """Join, or finish a join that was interrupted after its commit."""
    client = desk.client_of(bucket)
    client.committer.resume()
    roster = client.log.point.roster
    if roster is not None and roster.team != invite.team:
        raise UsageError(
            "this home belongs to another team already", hint="use another TAPES_HOME for another team"
        )
    if roster is not None and desk.identity.member_id in roster.members:
        desk.run.out.say("this identity is a member already")
    else:
        join(client, invite)
    return team_name(client)


def _ask_to_publish(run: Run) -> None:
    """Whether the team's totals may hold this member's private sessions; whoever was not asked publishes nothing."""
    if not can_ask(run) or run.config.get(_PUBLISH).origin != "default":
        return
    run.out.say(
        "Your sessions are private. The team's totals may still hold what they use: no words, no names of sessions."
    )
    try:
        answer = ask(run, "Publish totals of private sessions? [off/totals/by-project, default off]").lower()
    except UsageError:  # the input ended: whoever says nothing publishes nothing, and has joined all the same
        answer = ""
    if answer in {"totals", "by-project"}:
        run.config.set({_PUBLISH: answer})
    else:
        run.out.say(f"Nothing is published. Later: tapes config set {_PUBLISH} totals")


def _link_text(run: Run, link: str | None, link_file: Path | None) -> str:
    """The link from exactly one place. As an argument it is in `ps` and in the shell's history: that is said."""
    if (link is None) == (link_file is None):
        raise UsageError("give one link", hint=_ONE_OF)
    if link_file is not None:
        return _read(link_file)
    if link == "-":
        return sys.stdin.read(link_chars_max + 1)
    run.out.warn(
        "a link on the command line can be seen by others on this machine; --link-file or - keeps it private"
    )
    return link or ""


def _read(path: Path) -> str:
    try:
        with path.expanduser().open(encoding="utf-8") as file:
            return file.read(link_chars_max + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {type(error).__name__}", hint=_ONE_OF) from None
