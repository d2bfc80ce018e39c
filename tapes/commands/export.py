"""`tapes export`."""

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal, get_args

from cyclopts import Parameter

from crypto.errors import PartialFailure, UsageError
from query.answers import Session
from query.bundle_write import write_bundle
from query.choosing import ids_of_lines, sessions_named
from query.export import Content, write_csv, write_json, write_ndjson
from query.export_parquet import write_parquet
from query.filter import SessionFilter
from query.hiding import Hiding
from query.records import About, price_tables
from query.redact import RedactedLoader, salts
from query.redaction_rules import Rule, default_rules, read_rules
from query.source import Source
from query.table_rows import Loader
from store.nodes import Json, Node
from tapes.answering.here import listed_sessions
from tapes.commands.at_desk import at_desk
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.export_target import Target, target_of, written
from tapes.commands.filters import FilterFlags, no_filters
from tapes.commands.output_file import writing
from tapes.render.export_html import html_end, html_session, html_start
from tapes.render.export_md import md_session, md_start

Format = Literal["tape", "json", "ndjson", "csv", "md", "html", "parquet"]
_METADATA_ONLY: Final = ("csv", "parquet")  # unless asked otherwise
_BINARY: Final = ("tape", "parquet")
_Pages = Callable[[Loader, list[Session], About], Iterator[str]]


def export(
    *ids: Annotated[
        str,
        Parameter(help="Sessions; without ids, filters and --all, ids are read from stdin, one per line."),
    ],
    output: Annotated[
        str | None,
        Parameter(
            name=["--output", "-o"],
            help="File (one that is there is replaced), new folder for parquet, or s3://bucket/…; else, or with -, stdout.",
            allow_leading_hyphen=True,
        ),
    ] = None,
    endpoint_url: Annotated[
        str | None, Parameter(help="Of the S3 that -o names; else as configured for the team's bucket.")
    ] = None,
    region: Annotated[str | None, Parameter(help="Its region.")] = None,
    format_: Annotated[
        Format | None, Parameter(name="--format", help="Else by the file's ending; else json.")
    ] = None,
    content: Annotated[
        Content | None,
        Parameter(
            help="What was said, that without secrets, or only metadata; else full, none for csv and parquet."
        ),
    ] = None,
    redactions: Annotated[
        Path | None,
        Parameter(help="Rules of your own for --content redacted; else the home's redactions.toml."),
    ] = None,
    all_: Annotated[bool, Parameter(name="--all", help="All sessions.")] = False,
    filters: FilterFlags = no_filters,
    flags: Flags = no_flags,
) -> int:
    """Write sessions to a file."""
    run = begin(flags)
    target = target_of(output)
    kind = _format(format_, target)
    wanted = _content(content, kind)
    rules = _rules(run, wanted, redactions)
    _check_target(kind, target, run)
    chosen_by = filters.chosen()
    names = _names(run, ids, all_=all_, filtered=chosen_by != SessionFilter())

    def work(desk: Desk) -> tuple[About, int, list[str]]:
        source = desk.source()
        chosen = _filtered(source, chosen_by, filters) if names is None else sessions_named(source, names)
        about, loader = about_export(source, _filter_record(names, chosen_by, filters)), Loader(source)
        if wanted == "redacted":
            loader, about = _redacted(desk, source, chosen, rules, about, by_id=names is not None)
            chosen = list(loader.sessions)
        _settle(source, kind)
        with written(run, target, endpoint_url, region) as path:
            left_out = _write(loader, chosen, about, wanted, kind, path)
        return about, len(chosen) - len(left_out), left_out

    about, sessions, left_out = at_desk(run, work)
    _answer(run, kind, wanted, about, sessions, target)
    _say_rest(run, filters.clock().stated if chosen_by.timed else None, left_out)
    return 0


def _names(run: Run, ids: Sequence[str], *, all_: bool, filtered: bool) -> Sequence[str] | None:
    """The sessions that are named here or on stdin; None where something else chooses them."""
    if all_ + bool(ids) + filtered > 1:
        raise UsageError("which sessions?", hint="ids, filters, or --all; not two of them")
    return None if all_ or filtered else ids or ids_of_lines(_stdin(run))


def _settle(source: Source, kind: Format) -> None:
    """Read what else would be read session after session, before a pipe has the first byte: it may be damaged."""
    if kind not in _METADATA_ONLY:
        source.settle_rows()


def _redacted(
    desk: Desk, source: Source, chosen: Sequence[Session], rules: Sequence[Rule], about: About, *, by_id: bool
) -> tuple[RedactedLoader, About]:
    loader = RedactedLoader(source, chosen, rules, salts(source.client, desk.identity))
    return loader, _about_redacted(about, loader, rules, by_id=by_id)


def _say_rest(run: Run, times: str | None, left_out: list[str]) -> None:
    """PartialFailure if some sessions are not in what was written."""
    if times is not None:
        run.out.say(f"times in {times}")
    if left_out:
        raise PartialFailure(
            f"{len(left_out)} sessions are left out: a bundle holds what was said, and of some turns only metadata is here",
            left_out,
            hint="--format json, csv or parquet has their metadata",
        )


def _about_redacted(about: About, loader: RedactedLoader, rules: Sequence[Rule], *, by_id: bool) -> About:
    """What was hidden; and the sessions by the ids they have now: an old one would confirm guesses."""
    hidden = {
        "rules": [rule.name for rule in rules],
        "parts": loader.hidden_parts,
        "turns": loader.hidden_turns,
    }
    chosen_by = {"ids": [session.id for session in loader.sessions]} if by_id else about.filter
    return replace(about, filter=Hiding(rules).value(chosen_by), redaction=hidden)


def _rules(run: Run, wanted: Content, named: Path | None) -> tuple[Rule, ...]:
    if wanted != "redacted":
        if named is not None:
            raise UsageError("--redactions is for --content redacted", hint="add it")
        return ()
    path = named or run.home.path / "redactions.toml"
    if named is None and not path.exists():
        return default_rules()
    try:
        return read_rules(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="name a file of rules, in UTF-8") from None


def about_export(source: Source, filter_: Json) -> About:
    """What an export made now says of itself."""
    identity = source.client.identity if source.client else None
    return About(
        tool=f"tapes-sync {version('tapes-sync')}",
        filter=filter_,
        price_tables=price_tables(source),
        exported_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        exported_by=identity.member_id.hex() if identity else None,
    )


def _format(named: Format | None, target: Target) -> Format:
    if named is not None:
        return named
    if target.name is None:
        return "json"
    ending = target.name.rpartition(".")[2].lower()
    formats: tuple[Format, ...] = get_args(Format)
    for known in formats:
        if ending == known:
            return known
    raise UsageError(f"no format is known by the ending of {target.name}", hint="name one with --format")


def _content(wanted: Content | None, kind: Format) -> Content:
    if wanted is None:
        return "none" if kind in _METADATA_ONLY else "full"
    if (kind, wanted) in {
        ("csv", "full"),
        ("csv", "redacted"),
        ("tape", "none"),
        ("md", "none"),
        ("html", "none"),
    }:
        raise UsageError(
            f"{kind} has no --content {wanted}",
            hint="csv is metadata only; tape, md and html are what was said, full or redacted; the others can be all",
        )
    return wanted


def _check_target(kind: Format, target: Target, run: Run) -> None:
    to_stdout = target.name is None
    if to_stdout and run.flags.json:
        raise UsageError("--json reports on an export that goes elsewhere", hint="-o FILE, or --format json")
    if to_stdout and kind == "parquet":
        raise UsageError("a parquet export is a folder", hint="-o FOLDER")
    if to_stdout and kind in _BINARY and run.out.stdout.is_terminal:
        raise UsageError(f"a {kind} is nothing for a terminal", hint="-o FILE")
    if target.path is not None and kind != "parquet" and target.path.is_dir():
        raise UsageError(f"{target} is a folder", hint="name a file in it")


def _stdin(run: Run) -> Iterable[str]:
    if sys.stdin is None or sys.stdin.isatty() or run.flags.no_input:
        raise UsageError("which sessions?", hint="ids, or `tapes sessions | tapes export …`, or --all")
    return sys.stdin


def _filtered(source: Source, chosen_by: SessionFilter, filters: FilterFlags) -> list[Session]:
    found, _ = listed_sessions(source, chosen_by, filters.clock())
    return sorted(found.sessions, key=lambda session: session.id)


def _filter_record(names: Sequence[str] | None, chosen_by: SessionFilter, filters: FilterFlags) -> Json:
    """What chose the sessions: ids as they were given, or the filter with its time zone; an empty filter is all."""
    if names is not None:
        return {"ids": sorted(set(names))}
    fields: dict[str, Json] = json.loads(chosen_by.to_json())
    return {**fields, "time_zone": filters.clock().stated} if chosen_by.timed else fields


def _write(
    loader: Loader, chosen: list[Session], about: About, content: Content, kind: Format, output: Path | None
) -> list[str]:
    """Write them; the ids of those that the format cannot hold."""
    left_out: list[str] = []
    if kind == "parquet" and output is not None:
        write_parquet(loader, chosen, about, content, output)
        return left_out
    with writing(output) as out:
        if kind == "tape":
            write_bundle(_whole(loader, chosen, left_out), about, out)
        elif kind == "csv":
            write_csv(chosen, about, out)
        elif kind in {"json", "ndjson"}:
            (write_json if kind == "json" else write_ndjson)(loader, chosen, about, content, out)
        else:
            _write_pages(_html if kind == "html" else _md, loader, chosen, about, out)
    return left_out


def _whole(
    loader: Loader, chosen: list[Session], left_out: list[str]
) -> Iterator[tuple[Session, list[Node]]]:
    """Sessions with their nodes; one with a withheld turn is left out, since no reader could check a hash of it."""
    for session in chosen:
        nodes = loader.nodes(session.id)
        if any(node.withheld for node in nodes):
            left_out.append(session.id)
        else:
            yield session, nodes


def _write_pages(pages: _Pages, loader: Loader, chosen: list[Session], about: About, out: BinaryIO) -> None:
    # A lone surrogate has no UTF-8; `safe` made those visible, and a time or an id could still hold one.
    text = io.TextIOWrapper(out, encoding="utf-8", errors="replace", newline="\n", write_through=True)
    text.writelines(pages(loader, chosen, about))
    text.detach()


def _html(loader: Loader, chosen: list[Session], about: About) -> Iterator[str]:
    yield html_start(about)
    for session in chosen:
        yield from html_session(session, loader.nodes(session.id))
    yield html_end()


def _md(loader: Loader, chosen: list[Session], about: About) -> Iterator[str]:
    yield md_start(about)
    for session in chosen:
        yield from md_session(session, loader.nodes(session.id))


def _answer(run: Run, kind: Format, content: Content, about: About, sessions: int, target: Target) -> None:
    if run.flags.json:
        fields = {
            "format": kind,
            "content": content,
            "redaction": about.redaction,
            "sessions": sessions,
            "output": str(target),
        }
        run.out.answer("export", fields)
        return
    if about.redaction is not None:
        hidden = about.redaction
        run.out.say(f"hid {hidden['parts']} parts in {hidden['turns']} turns; read it before you hand it out")
    if target.name is not None:
        run.out.say(f"exported {sessions} session{'s' if sessions != 1 else ''} to {target}")
