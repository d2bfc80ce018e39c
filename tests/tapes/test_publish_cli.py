"""Team totals with what members keep to themselves: as far as each chose, each call once, and not a word or a name besides."""

from pathlib import Path
from typing import Any

import pytest

from store.local import LocalStore
from store.local_path import local_store_path
from store.nodes import Node
from tests.command_line import Person
from tests.laptops import conversation

SECRETS = conversation("quokka", 4, "secret-project")
OPEN = conversation("wombat", 4, "open-project")
PERIOD = ("--team", "--period", "3000d", "--tz", "UTC")


def give(person: Person, *nodes: Node) -> None:
    """Put turns into somebody's local store."""
    with LocalStore.open(local_store_path(person.home)) as local:
        local.add(nodes)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Person, Person]:
    """Ada, with a private and an open project, and Bob, who watches."""
    ada, bob = Person(tmp_path / "ada").init("Ada"), Person(tmp_path / "bob").init("Bob")
    ada.ok("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    ada.ok("config", "set", "default-visibility.open-project", "team")
    ada.ok("team", "create", "Us")
    bob.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    give(ada, *SECRETS, *OPEN)
    return ada, bob


def seen(ada: Person, bob: Person) -> Any:
    """What Bob's team dashboard says after both synced; Ada's must say the same."""
    for each in (ada, bob, ada):
        each.ok("storage", "sync")
    stats = bob.json("stats", *PERIOD)
    assert stats == ada.json("stats", *PERIOD)
    return stats


def turns(stats: Any) -> tuple[int, int, int]:
    """All turns, those only published, and how many publish."""
    told = stats["publishing"]
    return stats["current"]["use"]["turns"], told["use"]["turns"], told["publishing"]


def test_off_is_the_default_and_tells_nothing(two: tuple[Person, Person], tmp_path: Path) -> None:
    """Without a choice no stats object is made, and the dashboard says that nobody publishes."""
    stats = seen(*two)

    assert (4, 0, 0) == turns(stats)
    assert 2 == stats["publishing"]["members"]
    assert not (tmp_path / "bucket" / "stats").exists()
    assert "0 of 2 members publish" in two[1].ok("stats", *PERIOD).out


def test_totals_count_and_name_no_project(two: tuple[Person, Person]) -> None:
    """Private turns are in turns, tokens, sessions and members, under no project's name; by-project adds the name."""
    ada, bob = two
    ada.ok("config", "set", "team.publish_stats", "totals")
    totals = seen(ada, bob)
    ada.ok("config", "set", "team.publish_stats", "by-project")
    named = seen(ada, bob)

    assert (8, 4, 1) == turns(totals) == turns(named)
    assert 2 == totals["current"]["sessions"]
    assert (
        sum(node.usage.output for node in [*SECRETS, *OPEN] if node.usage)
        == totals["current"]["use"]["tokens"]["output"]
    )
    assert {"open-project", None} == {group["name"] for group in totals["projects"]}
    assert {"open-project", "secret-project"} == {group["name"] for group in named["projects"]}


def test_sharing_later_counts_once(two: tuple[Person, Person]) -> None:
    """Published first, then given to the team: the day is told again without it, and the sum stays what it was."""
    ada, bob = two
    ada.ok("config", "set", "team.publish_stats", "totals")
    before = turns(seen(ada, bob))
    ada.ok("config", "set", "default-visibility.secret-project", "team")

    assert ((8, 4, 1), (8, 0, 1)) == (before, turns(seen(ada, bob)))


def test_a_private_copy_of_what_the_team_has_counts_once(two: tuple[Person, Person]) -> None:
    """Bob holds Ada's open session privately: the same turns are in no published day of his."""
    ada, bob = two
    ada.ok("storage", "sync")
    give(bob, *OPEN)
    bob.ok("config", "set", "team.publish_stats", "totals")

    assert (4, 0, 1) == turns(seen(ada, bob))


def test_off_takes_it_back_and_an_idle_sync_adds_nothing(two: tuple[Person, Person], tmp_path: Path) -> None:
    """A second sync publishes nothing; turned off, what was told is gone from the totals."""
    ada, bob = two
    ada.ok("config", "set", "team.publish_stats", "totals")
    first = ada.json("storage", "sync")["published_days"]
    again = ada.json("storage", "sync")["published_days"]
    objects = len([*(tmp_path / "bucket" / "stats").rglob("*/*")])
    ada.ok("config", "set", "team.publish_stats", "off")

    assert (1, 0, 1) == (first, again, objects)
    assert (4, 0, 0) == turns(seen(ada, bob))


def _lose(bucket: Path) -> tuple[Path, bytes]:
    """The bucket loses the first manifest of all: where it was, and what."""
    path = min((bucket / "manifests").rglob("*/*"), key=lambda found: found.stat().st_mtime_ns)
    data = path.read_bytes()
    path.unlink()
    return path, data


def test_somebody_elses_lost_manifest_silences_nobody(two: tuple[Person, Person], tmp_path: Path) -> None:
    """What Bob pushed is gone before Ada read it: her sync ends with 6, her numbers are told, and stats says what is missing."""
    ada, bob = two
    give(bob, *conversation("emu", 4, "bobs-project"))
    bob.ok("config", "set", "default-visibility", "team")
    bob.ok("storage", "sync")
    path, data = _lose(tmp_path / "bucket")
    ada.ok("config", "set", "team.publish_stats", "totals")
    done = ada.tapes("storage", "sync", "--json")
    stats = ada.json("stats", *PERIOD)

    assert (6, 1, 1) == (done.code, done.json["published_days"], stats["missing_pushes"])
    assert (8, 4, 1) == turns(stats)
    assert "1 pushes are not in these numbers" in ada.ok("stats", *PERIOD).out
    path.write_bytes(data)
    stats = seen(ada, bob)
    assert ((12, 4, 1), 0) == (turns(stats), stats["missing_pushes"])


def test_ones_own_lost_manifest_holds_the_numbers_back(two: tuple[Person, Person], tmp_path: Path) -> None:
    """A device that cannot know what its member shared tells nothing, and says why; once it knows, nothing counts twice."""
    ada, bob = two
    ada.ok("storage", "sync")
    path, data = _lose(tmp_path / "bucket")
    phone = Person(tmp_path / "phone")
    phone.ok("recover", "--bucket", (tmp_path / "bucket").as_uri(), "--kit", tmp_path / "ada.kit")
    give(phone, *SECRETS, *OPEN)
    phone.ok("config", "set", "team.publish_stats", "totals")
    done = phone.tapes("storage", "sync", "--json")

    assert (6, 0) == (done.code, done.json["published_days"])
    assert f"published stats wait: manifests/{path.parent.name}/{path.name}" in done.err
    path.write_bytes(data)
    assert (4, 0, 1) == turns(
        seen(phone, bob)
    )  # the other device's private turns are the other device's to tell


def test_private_sessions_leak_nowhere(two: tuple[Person, Person], tmp_path: Path) -> None:
    """With numbers published, Bob's lists, searches, SQL and exports hold no id, project or word of what is private."""
    ada, bob = two
    ada.ok("config", "set", "team.publish_stats", "totals")
    seen(ada, bob)
    bob.ok("storage", "sync", "--full")
    bob.ok("export", "--all", "-o", tmp_path / "all.json")
    bob.ok("export", "--all", "-o", tmp_path / "all.parquet", "--content", "full")
    told = "".join(
        [
            *(bob.ok(*words).out for words in (("sessions",), ("search", "wombat"), ("stats", *PERIOD))),
            str(bob.json("sql", "select * from nodes")),
            str(bob.json("sql", "select * from messages")),
            (tmp_path / "all.json").read_text(),
        ]
    )
    files = b"".join(path.read_bytes() for path in (tmp_path / "all.parquet").rglob("*") if path.is_file())
    at_rest = b"".join(path.read_bytes() for path in bob.home.rglob("*") if path.is_file())

    assert "wombat" in told
    for secret in ("quokka", "secret-project", *(node.hash for node in SECRETS)):
        assert secret not in told
        assert secret.encode() not in files + at_rest
    for node in SECRETS:
        assert bytes.fromhex(node.hash) not in files + at_rest
    assert 4 == len(bob.json("sql", "select hash from nodes")["rows"])
    assert "" == bob.tapes("search", "quokka").out


@pytest.mark.parametrize(("typed", "kept"), [("totals", "totals"), ("", "off"), ("everything", "off")])
def test_who_joins_at_a_terminal_is_asked(tmp_path: Path, typed: str, kept: str) -> None:
    """One question, off unless one of the two words is typed; the answer is a setting that can be changed."""
    ada, bob = Person(tmp_path / "ada").init("Ada"), Person(tmp_path / "bob").init("Bob")
    ada.ok("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    ada.ok("team", "create", "Us")
    (tmp_path / "link").write_text(ada.json("team", "invite")["link"])
    done = bob.at_terminal(
        "team", "join", "--link-file", tmp_path / "link", answers={r"default off\]": typed}
    )

    assert (0, True) == (done.code, "joined Us" in done.out)
    assert kept == bob.json("config", "get", "team.publish_stats")["value"]
