"""Checks of one home and its surroundings: each says what it found, and what to do about it."""

import json
import platform
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

from crypto.errors import KeyNeeded, TapesError
from crypto.kit import mark_of
from store.network import check_ca_bundle
from store.probe import probe_put_if_absent
from tapes.commands.desk import NO_BUCKET_HINT, Desk, open_bucket
from tapes.network import network_of, network_words
from tapes.watching.state import read_state

State = Literal["ok", "warning", "failed", "skipped"]
_CLAUDE_RETENTION_DAYS_DEFAULT: Final = 30
_CLAUDE_RETENTION_DAYS_SAFE: Final = 365


@dataclass(frozen=True, slots=True)
class Check:
    """One result. `exit_code` is that of the failure, 0 for anything else."""

    name: str
    state: State
    detail: str
    hint: str = ""
    exit_code: int = 0


def examine(desk: Desk, environ: Mapping[str, str], user_home: Path) -> Iterator[Check]:
    """All checks, in the order in which one depends on the other."""
    yield _versions()
    yield from _guarded("home", lambda: _home(desk.run.home.path))
    yield from _guarded("keys", lambda: _keys(desk))
    yield from _guarded("provider", lambda: _provider(desk))
    yield from _guarded("network", lambda: _network(desk, environ))
    answered = list(_guarded("bucket", lambda: _bucket(desk)))
    yield from answered
    yield from _guarded("clock", lambda: _clock(desk, asked=all(one.state != "failed" for one in answered)))
    yield from _guarded("team", lambda: _team(desk))
    yield from _guarded("watch", lambda: _watch(desk))
    yield from _guarded("claude retention", lambda: _claude_retention(environ, user_home))


def _guarded(name: str, check: Callable[[], Check]) -> Iterator[Check]:
    """A check that fails in its own way is a result; the others still run."""
    try:
        yield check()
    except TapesError as error:
        yield Check(name, "failed", error.message, error.hint, error.exit_code)


def _versions() -> Check:
    parts = (
        f"tapes {version('tapes-sync')}",
        f"python {platform.python_version()}",
        f"sqlite {sqlite3.sqlite_version}",
        f"duckdb {version('duckdb')}",
    )
    return Check("versions", "ok", ", ".join(parts))


def _home(path: Path) -> Check:
    if not path.exists():
        return Check("home", "warning", f"{path} does not exist yet", "tapes init")
    open_to_others = [each for each in _private_files(path) if stat.S_IMODE(each.lstat().st_mode) & 0o077]
    if open_to_others:
        shown = ", ".join(str(each) for each in open_to_others[:3])
        return Check(
            "home",
            "warning",
            f"{len(open_to_others)} files or folders can be read by others: {shown}",
            f"chmod -R go= {path}",
        )
    return Check("home", "ok", str(path))


def _private_files(path: Path) -> Iterator[Path]:
    yield path
    for pattern in ("*", "keys/*"):
        yield from (each for each in path.glob(pattern) if not each.is_symlink())


def _keys(desk: Desk) -> Check:
    where = "the OS keyring" if desk.run.config.text("keys.vault") == "os" else "files"
    try:
        identity = desk.identity
    except KeyNeeded as error:
        if desk.run.home.identity.exists():
            raise
        return Check("keys", "warning", error.message, error.hint)
    return Check("keys", "ok", f"{identity.name}, device {identity.device_id.hex()[:12]}, key in {where}")


def _provider(desk: Desk) -> Check:
    bucket = desk.run.config.text("storage.bucket")
    provider = desk.run.config.text("storage.provider")
    if desk.uses_bucket and bucket is None:
        return Check("provider", "failed", f"{provider}, without a bucket", NO_BUCKET_HINT, 2)
    if not desk.uses_bucket:
        hint = "tapes storage set-provider hybrid" if bucket else NO_BUCKET_HINT
        return Check("provider", "warning", "local: nothing leaves, or is backed up from, this device", hint)
    bare = desk.run.config.text("sync.content") == "metadata"
    return Check("provider", "ok", f"{provider}, {bucket}" + ", metadata only: nothing that was said" * bare)


def _network(desk: Desk, environ: Mapping[str, str]) -> Check:
    network = network_of(desk.run.config)
    if network.ca_bundle is not None:
        check_ca_bundle(network.ca_bundle)
    return Check("network", "ok", network_words(network, environ))


def _bucket(desk: Desk) -> Check:
    if desk.run.config.text("storage.bucket") is None:
        return Check("bucket", "skipped", "none is configured")
    bucket = desk.bucket
    report = probe_put_if_absent(open_bucket(desk.run, bucket))
    passed = f"{report.store}: {report.writers} writers raced for {report.raced_objects} names, one won each"
    if report.notes:
        return Check("bucket", "warning", "; ".join((passed, *report.notes)))
    return Check("bucket", "ok", passed)


def _clock(desk: Desk, *, asked: bool) -> Check:
    """A folder has this machine's clock; the S3 port gives no Date, and S3 itself refuses a clock that is 15 minutes off."""
    url = desk.run.config.text("storage.bucket") or ""
    if url.startswith("s3://"):
        if not asked:
            return Check("clock", "skipped", "the bucket's answer would tell, and its check failed")
        return Check("clock", "ok", "within the 15 minutes that S3 signatures allow")
    return Check("clock", "skipped", "no other clock to compare with")


def _team(desk: Desk) -> Check:
    """From the log as last read; who is removed by a commit not read yet learns it at the next sync."""
    if not desk.run.home.identity.exists() or desk.run.config.text("storage.bucket") is None:
        return Check("team", "skipped", "needs an identity and a bucket")
    if desk.client.log.point.roster is None:
        return Check(
            "team",
            "warning",
            "none yet",
            "tapes storage sync, tapes team create NAME or tapes team join LINK",
        )
    roster = desk.client.require_membership()
    mark = mark_of(roster.members[desk.identity.member_id].keys)
    members = f"{len(roster.active_members())} members"
    return Check("team", "ok", f"{roster.team.hex()[:12]}, {members}; your kit has the mark {mark}")


def _watch(desk: Desk) -> Check:
    """A watch that runs and fails is said here too: nobody reads a service's log while all seems well."""
    home = desk.run.home
    told = read_state(home.watch_state, home.watch_lock)
    if told is None or not told["running"]:
        return Check("watch", "skipped", "not running", "tapes watch --install")
    failing = [
        f"{name}: {each['last_error']['message']}"
        for name, each in told["services"].items()
        if each["last_error"]
    ]
    if failing:
        return Check("watch", "warning", "; ".join(failing), "tapes storage status")
    return Check("watch", "ok", f"process {told['pid']}")


def _claude_retention(environ: Mapping[str, str], user_home: Path) -> Check:
    """Claude Code deletes its logs after `cleanupPeriodDays`, 30 unless set."""
    name = "claude retention"
    folder = Path(environ.get("CLAUDE_CONFIG_DIR") or user_home / ".claude")
    if not folder.exists():
        return Check(name, "skipped", "Claude Code is not used here")
    settings = folder / "settings.json"
    hint = f'run `tapes watch`, or `tapes import claude` more often than that, or set "cleanupPeriodDays": 3650 in {settings}'
    try:
        days = _cleanup_days(settings)
    except (OSError, ValueError) as error:
        return Check(name, "warning", f"{settings} cannot be read: {type(error).__name__}", hint)
    if days < _CLAUDE_RETENTION_DAYS_SAFE:
        return Check(name, "warning", f"Claude Code deletes its logs after {days:g} days", hint)
    return Check(name, "ok", f"Claude Code keeps its logs {days:g} days")


def _cleanup_days(settings: Path) -> float:
    if not settings.exists():
        return _CLAUDE_RETENTION_DAYS_DEFAULT
    document: Any = json.loads(settings.read_text(encoding="utf-8"))
    days = document.get("cleanupPeriodDays") if isinstance(document, dict) else None
    if isinstance(days, int | float) and not isinstance(days, bool):
        return days
    return _CLAUDE_RETENTION_DAYS_DEFAULT
