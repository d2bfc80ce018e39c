"""Whoever reads logs, error texts, reprs or stored files of a team finds none of its keys."""

import base64
import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from crypto.errors import TapesError
from crypto.identities import SecretKeys, invite_keys
from sync.keychain import Keychain
from sync.links import InviteLink, format_link, parse_link
from sync.membership import Bucket, invite, join, members
from sync.rights import remove_member
from sync.team import InviteTerms
from sync.verify import verify
from tests.actors import client, founded, joined, person
from tests.fakes.strict_store import Fault, StrictStore, no_faults
from tests.faults.worlds import impatient
from tests.laptops import Laptop, conversation


class Scene:
    """Ana, Ben, an open invite, and every secret among them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = StrictStore()
        self.people = {name: person(name) for name in ("ana", "ben")}
        owner = founded(self.store, root / "ana", "ana")
        second = joined(owner, self.store, root / "ben", "ben")
        self.ana, self.ben = Laptop(owner, root / "ana"), Laptop(second, root / "ben")
        self.link: InviteLink = invite(owner, InviteTerms(1, None), Bucket("file:///x"))
        self.ana.provider.put(conversation("hello", 3))
        self.ana.provider.sync()

    def secrets(self) -> list[bytes]:
        """Every 32-byte secret there is: device seeds, the invite's, each epoch's key."""
        holders: list[SecretKeys] = [
            *(laptop.client.identity.device for laptop in (self.ana, self.ben)),
            *(who.member for who in self.people.values()),
            *(who.identity.device for who in self.people.values()),
            invite_keys(self.link.secret),
        ]
        roster = self.ana.client.roster
        space = roster.spaces[roster.team_space]
        epochs = [self.ana.client.keychain.at(roster, space.id, record.number).key for record in space.epochs]
        seeds = [seed for keys in holders for seed in (keys.sign_seed, keys.box_seed)]
        return [self.link.secret, *seeds, *epochs]


def shown(secret: bytes) -> list[str]:
    """A secret as text might show it."""
    return [
        secret.hex(),
        base64.b64encode(secret).decode().rstrip("="),
        base64.urlsafe_b64encode(secret).decode().rstrip("="),
        repr(secret)[2:-1],
        str(list(secret))[1:-1],
    ]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The scene."""
    impatient(monkeypatch.setitem)
    return Scene(tmp_path)


def damaged_link(scene: Scene) -> None:
    parse_link(format_link(scene.link)[:-3])


def refused_store(scene: Scene) -> None:
    scene.store.schedule = lambda _op, _name, _n: Fault.REFUSED
    scene.ben.provider.sync()


def flipped_objects(scene: Scene) -> None:
    scene.store.schedule = lambda op, _name, _n: Fault.FLIP if op == "get" else None
    scene.ben.provider.sync()


def used_link(scene: Scene) -> None:
    join(client(person("cat"), scene.store, scene.root / "cat"), scene.link)
    join(client(person("dan"), scene.store, scene.root / "dan"), scene.link)


def removed(scene: Scene) -> None:
    remove_member(scene.ana.client, scene.ben.client.identity.member_id)
    scene.ben.provider.sync()


@pytest.mark.parametrize("trouble", [damaged_link, refused_store, flipped_objects, used_link, removed])
def test_no_error_and_no_log_line_shows_a_key(
    scene: Scene, caplog: pytest.LogCaptureFixture, trouble: Callable[[Scene], None]
) -> None:
    """Things go wrong in five ways with logging at its loudest: the error, its hint, its traceback and the log hold no key."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(TapesError) as caught:
        trouble(scene)
    scene.store.schedule = no_faults
    error = caught.value
    said = "\n".join([str(error), repr(error), error.hint, *traceback.format_exception(error), caplog.text])

    assert error.message
    assert not [secret for secret in scene.secrets() for text in shown(secret) if text in said]


def test_no_repr_shows_a_key(scene: Scene) -> None:
    """What a debugger, a log call or an assertion prints of the objects that hold keys does not contain them."""
    made = scene.ana.client
    roster = made.roster
    objects = [
        made,
        made.identity,
        made.identity.device,
        made.keychain,
        made.keychain.newest(roster, roster.team_space),
        made.committer,
        roster,
        scene.link,
        scene.people["ana"],
        invite_keys(scene.link.secret),
        Keychain([invite_keys(scene.link.secret)]),
        members(made),
        vars(made),
    ]
    said = "\n".join(repr(each) for each in objects)

    assert not [secret for secret in scene.secrets() for text in shown(secret) if text in said]


def test_no_file_of_a_home_and_no_object_holds_a_key(scene: Scene) -> None:
    """After pushing, pulling and verifying, neither the bucket nor any database or cache file contains a key in any spelling."""
    scene.ben.provider.sync(full=True)
    assert verify(scene.ben.client).ok
    files = [path.read_bytes() for path in scene.root.rglob("*") if path.is_file()]
    objects = [name.encode() + data for name, data in scene.store.snapshot().objects]
    everything = b"\n".join([*files, *objects])

    assert len(files) > 4
    for secret in scene.secrets():
        assert secret not in everything
        assert not [text for text in shown(secret)[:3] if text.encode() in everything]
