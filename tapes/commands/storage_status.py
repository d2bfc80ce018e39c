"""`tapes storage status`."""

from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.standing import standing, syncing
from tapes.render.standing import standing_lines


def storage_status(*, flags: Flags = no_flags) -> int:
    """Where local and remote stand, as far as known without asking the bucket."""
    run = begin(flags)
    with Desk(run) as desk:
        fields = _fields(run, desk)
    if flags.json:
        run.out.answer("storage-status", fields)
    else:
        run.out.lines(standing_lines(fields))
    return 0


def _fields(run: Run, desk: Desk) -> dict[str, object]:
    shares = desk.uses_bucket and run.config.text("storage.bucket") and run.home.identity.exists()
    return standing(desk, syncing(desk).sync_status() if shares else None)
