"""The command line: which commands there are, and what every kind of failure looks like from outside.

Commands are registered by import string: `tapes --help` imports none of them, and a command only what it needs.
"""

import errno
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cyclopts import App, CycloptsError, Parameter

from crypto.errors import PartialFailure, StoreError, TapesError, UsageError
from tapes.crash import keep_crash
from tapes.interrupts import interrupts_kept
from tapes.render.output import PipeConsole
from tapes.render.safe import safe

_ABOUT: Final = """Sessions of AI agents, shared by a team through a bucket it already owns, end-to-end encrypted.

Begin with: `tapes init`, `tapes import claude`, `tapes sessions`.
"""
_EXITS: Final = (
    "Exit codes: 0 ok, 1 failure, 2 usage, 3 some ids failed, 4 key or sign-in needed, 5 network or store,"
    " 6 verification failed, 130 interrupted."
)


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - only `--version` asks

    return version("tapes-sync")


@dataclass(frozen=True, slots=True)
class _Command:
    """A command: its words, the module (and function) it is in, what it does, and lines that work."""

    words: str
    module: str
    about: str
    example: str
    more: tuple[str, ...] = ()

    @property
    def epilogue(self) -> str:
        """What its help ends with."""
        if not self.more:
            return f"Example: {self.example}"
        return "\n\n".join(("Examples:", self.example, *self.more))


_GROUPS: Final = {
    "import": "Take in what agents logged.",
    "storage": "The bucket: configure it, sync with it.",
    "team": "Who is in: create, invite, join, members, roles.",
    "member": "Yourself in the team: your recovery kit.",
    "device": "Your own devices: link a new one, end a lost one.",
    "filter": "Filters kept under a name.",
    "config": "Settings of this home.",
}
COMMANDS: Final = (
    _Command("init", "init", "Make this device's identity and its recovery kit.", "tapes init --name Ada"),
    _Command(
        "import claude",
        "import_claude",
        "Import Claude Code's logs, only what is new.",
        "tapes import claude",
    ),
    _Command(
        "import codex",
        "import_codex",
        "Import Codex's rollouts, only what is new.",
        "tapes import codex",
    ),
    _Command(
        "import gemini",
        "import_gemini",
        "Import Gemini CLI's chats, only what has changed.",
        "tapes import gemini",
    ),
    _Command(
        "import opencode",
        "import_opencode",
        "Import opencode's sessions, only what has changed.",
        "tapes import opencode",
    ),
    _Command(
        "import tapes-db",
        "import_tapes_db",
        "Import the Go tool's database, every hash as it is.",
        "tapes import tapes-db ~/.tapes/tapes.sqlite",
    ),
    _Command(
        "import all",
        "import_all",
        "Import from every agent that keeps logs here.",
        "tapes import all",
    ),
    _Command(
        "sessions",
        "sessions",
        "List sessions, your own and the team's.",
        "tapes sessions --since yesterday --has error",
        ("tapes sessions --sort cost --limit 10 --project 'contributor.*'", "tapes sessions --json"),
    ),
    _Command("show", "show", "Read one session.", "tapes show 3f2a9c", ("tapes show 3f2a9c --full",)),
    _Command(
        "search",
        "search",
        "Find sessions by what was said in them, with filters (docs/search.md).",
        'tapes search "refactor retry" --since 7d --status failed',
        (
            """tapes search 'project:x model:*sonnet* cost:>0.5 tool:Bash "exact phrase" retr* -word'""",
            "tapes search -i | tapes export -o chosen.tape",
        ),
    ),
    _Command(
        "reprice",
        "reprice",
        "Compute costs again, by today's prices or your own.",
        "tapes reprice --table contract.toml --dry-run",
    ),
    _Command(
        "filter save",
        "filter_save",
        "Keep a filter under a name: @NAME in a search, --filter NAME elsewhere.",
        "tapes filter save costly 'cost:>1 since:7d'",
    ),
    _Command("filter list", "filter_list", "List the saved filters.", "tapes filter list"),
    _Command(
        "filter rename", "filter_rename", "Call a saved filter otherwise.", "tapes filter rename costly dear"
    ),
    _Command("filter remove", "filter_remove", "Forget a saved filter.", "tapes filter remove costly"),
    _Command("reindex", "reindex", "Make the word index anew.", "tapes reindex"),
    _Command(
        "export",
        "export",
        "Write sessions to a file: tape, json, ndjson, csv, md, html or parquet.",
        "tapes export --all -o everything.tape",
        (
            "tapes search debugging | tapes export -o debug.html",
            "tapes export --since 30d --content redacted -o month.json",
        ),
    ),
    _Command(
        "stats",
        "stats",
        "Costs, tokens and use of the last days, beside the days before.",
        "tapes stats --team --period 30d",
        ("tapes stats --period 4w --members --tz Europe/Vienna --csv",),
    ),
    _Command(
        "sql",
        "sql",
        "Ask with SQL, read-only.",
        'tapes sql "SELECT model, count(*) FROM nodes GROUP BY ALL"',
        (
            'tapes sql "DESCRIBE messages"',
            'tapes sql --format csv "SELECT tool, count(*) FROM tool_calls GROUP BY ALL"',
        ),
    ),
    _Command(
        "import bundle",
        "import_bundle",
        "Take in the sessions of a .tape file, all or none.",
        "tapes import bundle feb-14.tape",
    ),
    _Command(
        "storage configure",
        "storage_configure",
        "Name the bucket; it is probed before it is trusted.",
        "tapes storage configure --bucket s3://our-bucket/tapes --region eu-central-1",
    ),
    _Command(
        "storage give-up",
        "storage_give_up",
        "Say that objects cannot be had any more (owners and admins).",
        "tapes storage give-up --dry-run",
    ),
    _Command(
        "storage set-provider",
        "storage_set_provider",
        "Keep sessions on this device (local), in the bucket too (hybrid), or only there (cloud).",
        "tapes storage set-provider hybrid",
    ),
    _Command(
        "storage status",
        "storage_status",
        "Where local and remote stand, as far as known without asking the bucket.",
        "tapes storage status",
    ),
    _Command(
        "storage sync",
        "storage_sync",
        "Pull from the bucket, then push to it.",
        "tapes storage sync --dry-run",
    ),
    _Command(
        "watch",
        "watch",
        "Import and sync in the background, until it is told to end.",
        "tapes watch --install",
    ),
    _Command(
        "team create",
        "team_create",
        "Found a team in the configured bucket.",
        'tapes team create "Analytical Engine"',
    ),
    _Command(
        "team invite",
        "team_invite",
        "Print a link that lets somebody join, and read the team's sessions even without joining.",
        "tapes team invite --uses 3 --expires 7d",
    ),
    _Command(
        "team join", "team_join", "Join a team with an invite link.", "tapes team join --link-file link.txt"
    ),
    _Command("team members", "team_members", "List the team's members.", "tapes team members"),
    _Command("team role", "team_role", "Set what a member may do.", "tapes team role 3f2a9c admin"),
    _Command("team remove", "team_remove", "End somebody's membership.", "tapes team remove 3f2a9c"),
    _Command(
        "team leave",
        "team_leave",
        "Leave the team; remove what is here of it.",
        "tapes team leave --purge --dry-run",
    ),
    _Command("team invites", "team_invites", "List the open invites.", "tapes team invites"),
    _Command("team uninvite", "team_uninvite", "Close an invite.", "tapes team uninvite 3f2a9c"),
    _Command(
        "member rekey",
        "member_rekey",
        "Replace your recovery kit, when somebody may have seen it.",
        "tapes member rekey --kit kit.txt --kit-out new-kit.txt",
    ),
    _Command("device list", "device_list", "List your own devices.", "tapes device list"),
    _Command(
        "device link",
        "device_link",
        "Print a code that makes another machine a device of yours, and wait for it.",
        "tapes device link",
    ),
    _Command(
        "device join",
        "device_join",
        "Make this machine a device of yours, with another device's code.",
        "tapes device join --code-file code.txt",
    ),
    _Command(
        "device revoke",
        "device_revoke",
        "End a device that was lost or stolen.",
        "tapes device revoke 3f2a9c --lost-since 2026-02-14",
    ),
    _Command(
        "recover",
        "recover",
        "All devices are gone: make this one yours with the recovery kit.",
        "tapes recover --kit kit.txt --bucket s3://our-bucket/tapes",
    ),
    _Command(
        "rescue",
        "rescue",
        "Bring home every session the recovery kit can read, without any other state.",
        "tapes rescue s3://our-bucket/tapes --kit kit.txt -o rescued",
    ),
    _Command(
        "config get",
        "config_get",
        "Print one setting: flag, then environment (TAPES_STORAGE_REGION …), then file, then default.",
        "tapes config get default-visibility.my-project",
    ),
    _Command(
        "config set",
        "config_set",
        "Change one setting in the home's config.toml; comments in it stay.",
        "tapes config set default-visibility.my-project team",
    ),
    _Command(
        "config unset",
        "config_unset",
        "Take one setting out of the home's config.toml.",
        "tapes config unset storage.proxy",
    ),
    _Command(
        "config list",
        "config_list",
        "Print all settings and where each comes from.",
        "tapes config list --json",
    ),
    _Command(
        "doctor",
        "doctor",
        "Check bucket, clock, keys, versions, and how long agents keep logs.",
        "tapes doctor",
    ),
    _Command(
        "verify",
        "verify",
        "Check every stored object and commit against signatures and pins.",
        "tapes verify --json",
    ),
    _Command(
        "gc",
        "gc",
        "Delete what interrupted pushes left in the bucket (owners and admins).",
        "tapes gc --dry-run",
    ),
)


def build() -> App:
    """The whole command tree."""
    app = App(
        name="tapes",
        help=_ABOUT,
        help_epilogue=_EXITS,
        version=_version,
        help_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=False),
        suppress_keyboard_interrupt=False,
    )
    groups = {name: App(name=name, help=about, help_epilogue="") for name, about in _GROUPS.items()}
    for group in groups.values():
        app.command(group)
    for command in COMMANDS:
        group_name, _, name = command.words.rpartition(" ")
        groups.get(group_name, app).command(
            f"tapes.commands.{command.module}:{command.module}",
            name=name,
            help=command.about,
            help_epilogue=command.epilogue,
        )
    return app


def run(tokens: Sequence[str]) -> int:
    """Run one command line. Never raises but for KeyboardInterrupt; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(
                errors="replace"
            )  # a terminal that cannot show a character is no reason to stop
    try:
        with interrupts_kept():
            result = build()(
                tokens,
                console=PipeConsole(),
                exit_on_error=False,
                print_error=False,
                result_action="return_value",
            )
    except CycloptsError as error:
        return _complain(UsageError(str(error), hint="add --help for the options and an example"))
    except TapesError as error:
        return _complain(error)
    except Exception as error:  # noqa: BLE001 - the outermost seam: nobody gets a traceback
        return _complain(_full_disk(error) or keep_crash(error))
    return result if isinstance(result, int) else 0


def _full_disk(error: Exception) -> TapesError | None:
    """What a full disk means where nobody closer has said so: mostly stdout, sent to a file there."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreError("the disk is full, or a quota is used up", hint="free some space and run it again")
    return None


def _complain(error: TapesError) -> int:
    """One line what, one line what to do, and the ids that failed; on stderr."""
    said = [f"error: {error.message}"]
    if error.hint:
        said.append(f"hint: {error.hint}")
    if isinstance(error, PartialFailure):
        said.extend(error.failed)
    sys.stderr.write(safe("\n".join(said)) + "\n")
    return error.exit_code
