"""`tapes rescue`: everything readable, out of a bucket, with the kit and no other state. Writes nothing to the bucket."""

import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from crypto.errors import UsageError
from crypto.identities import SecretKeys
from store.local import LocalStore, local_store_path
from store.open_store import compose
from sync.client import Client, ClientPaths
from sync.membership import Bucket
from sync.providers import Progress
from sync.recovery import Recognised, Rescued, kit_identity, recognise
from sync.recovery import rescue as rescue_nodes
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import open_bucket
from tapes.commands.kit_reading import read_kit
from tapes.commands.recover import moment, say_head
from tapes.home import Home
from tapes.progress import progress

_DEFAULT = Path("tapes-rescued")


def rescue(
    bucket: Annotated[str, Parameter(help="The team's bucket: s3://bucket/prefix or file:///path.")],
    /,
    *,
    kit: Annotated[
        Path | None,
        Parameter(
            help="The recovery kit's file, or - for stdin; else it is asked for.", allow_leading_hyphen=True
        ),
    ] = None,
    endpoint_url: Annotated[str | None, Parameter(help="For an S3 that is not Amazon's.")] = None,
    region: Annotated[str | None, Parameter(help="The S3 region.")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="A new folder for it.")] = _DEFAULT,
    flags: Flags = no_flags,
) -> int:
    """Bring home every session the kit can read. The folder is a home: TAPES_HOME=FOLDER tapes sessions."""
    run = begin(flags)
    home = Home(output.expanduser().absolute())
    if home.path.exists() and any(home.path.iterdir()):
        raise UsageError(f"{home.path} is not empty", hint="name a new folder with -o")
    keys = read_kit(run, kit)
    home.prepare()
    with tempfile.TemporaryDirectory(prefix=".rescue-", dir=home.path) as scratch:
        store, _ = compose(open_bucket(run, Bucket(bucket, endpoint_url, region)))
        here = Path(scratch)
        paths = ClientPaths(here / "team.db", here / "cache", here / "evidence")
        client = Client(kit_identity(keys, "rescue"), store, paths)
        try:
            found, rescued = _rescued(run, client, keys, home)
        finally:
            client.close()
    return _answer(run, home, found, rescued)


def _rescued(run: Run, client: Client, kit: SecretKeys, home: Home) -> tuple[Recognised, Rescued]:
    found = recognise(client, kit)
    say_head(run, found.head)
    with LocalStore.open(local_store_path(home.path)) as local, progress(run.out) as tell:

        def told(at: Progress) -> None:
            tell(at.step, at.done, at.total)

        return found, rescue_nodes(client, kit, local, told)


def _answer(run: Run, home: Home, found: Recognised, rescued: Rescued) -> int:
    """Exit 6 when something could not be brought home; what could, is."""
    if run.flags.json:
        fields = {
            "home": str(home.path),
            "nodes": rescued.nodes,
            "head_seq": found.head.seq,
            "head_at": moment(found.head),
            "notices": rescued.notices,
            "findings": [{"object": each.obj, "problem": each.problem} for each in rescued.broken],
        }
        run.out.answer("rescue", fields)
    else:
        run.out.say(f"{rescued.nodes} turns are in {home.path}", "green")
        run.out.say(f"Next: TAPES_HOME={home.path} tapes sessions")
    for notice in rescued.notices:
        run.out.warn(notice)
    for broken in rescued.broken[1:]:
        run.out.say(f"error: {broken.message}")
    if rescued.broken:
        raise rescued.broken[0]
    return 0
