"""`tapes import bundle`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from query.bundle_import import BundleImport
from query.bundle_import import import_bundle as take_in
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.render import figures


def import_bundle(
    file: Annotated[Path, Parameter(help="A .tape file.")],
    /,
    *,
    allow_unverified: Annotated[
        bool, Parameter(help="Keep turns whose hash fits no known era, marked.")
    ] = False,
    flags: Flags = no_flags,
) -> int:
    """Take in the sessions of a .tape file: all of them, or none if anything in it is wrong (6), or it is none (2)."""
    run = begin(flags)
    with Desk(run) as desk, desk.intake() as taken:
        done = take_in(taken.store, file, allow_unverified=allow_unverified)
    if run.flags.json:
        run.out.answer("import-bundle", asdict(done))
    else:
        _tell(run, done)
    taken.judge()
    return 0


def _tell(run: Run, done: BundleImport) -> None:
    new = f"{figures.several(done.nodes_new, 'new turn')} of {figures.several(done.sessions, 'session')}"
    run.out.lines([f"imported {new}; known before: {figures.count(done.nodes_known)}"])
    if done.unverified:
        run.out.warn(f"{done.unverified} turns have a hash of no known era: kept, marked unverified")
