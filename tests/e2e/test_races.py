"""Sixteen processes push to one bucket at the same moment: one chain, nobody's nodes lost."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from store.blobs import BlobStore
from store.open_store import compose, open_store
from sync.client import Client
from sync.membership import Bucket, invite, join
from sync.team import InviteTerms
from sync.verify import verify
from tests.actors import client, founded, person
from tests.faults.one_sync import SyncProcess, write_identity
from tests.laptops import Laptop, conversation
from tests.services.shared import S3_KINDS_SLOW, S3Service

RACERS = 16
NODES_EACH = 3
STORES = [
    "folder",
    *S3_KINDS_SLOW,
]


@dataclass(frozen=True)
class Site:
    """A bucket, how a process is told of it, and a store on it."""

    url: str
    environment: dict[str, str]
    endpoint: str | None

    def open(self, *, may_be_new: bool = False) -> BlobStore:
        store, _ = compose(open_store(self.url, endpoint_url=self.endpoint, may_be_new=may_be_new))
        return store


@pytest.fixture(params=STORES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """One of the three."""
    if request.param == "folder":
        return Site(f"file://{tmp_path / 'bucket'}", {}, None)
    service: S3Service = request.getfixturevalue(request.param)
    patch: pytest.MonkeyPatch = request.getfixturevalue("aws_environment")
    environment = {k: v for k, v in service.environment.items() if k != "AWS_ENDPOINT_URL"}
    for name, value in environment.items():
        patch.setenv(name, value)
    return Site(f"s3://{service.make_bucket()}/team", environment, service.endpoint_url)


def racer_homes(site: Site, owner: Client, root: Path) -> list[Path]:
    """Sixteen members, each with a home and something to push; all files are closed."""
    link = invite(owner, InviteTerms(RACERS, None), Bucket(site.url))
    homes = []
    for number in range(RACERS):
        home = root / f"racer-{number}"
        made = client(person(f"racer {number}"), site.open(), home)
        join(made, link)
        write_identity(home, made.identity)
        racer = Laptop(made, home)
        racer.provider.put(conversation(f"racer {number}", NODES_EACH))
        racer.close()
        homes.append(home)
    return homes


def test_sixteen_racing_processes_end_in_one_chain(site: Site, tmp_path: Path) -> None:
    """All wait at the line, all push at once: every process succeeds, each node is committed once, every reader agrees."""
    owner = founded(site.open(may_be_new=True), tmp_path / "ana")
    homes = racer_homes(site, owner, tmp_path)
    how = {"endpoint": site.endpoint} if site.endpoint else {}
    racers = [SyncProcess.start(home, site.url, site.environment, **how) for home in homes]
    for racer in racers:
        racer.wait_ready()
    for racer in racers:
        racer.go()
    ends = [racer.end() for racer in racers]

    assert [0] * RACERS == [code for code, _ in ends], [said for code, said in ends if code]
    reports = [json.loads(said) for _, said in ends]
    assert [NODES_EACH] * RACERS == [report["nodes"] for report in reports]
    ana = Laptop(owner, tmp_path / "ana")
    ana.provider.sync()
    everything = sorted(
        n.hash for number in range(RACERS) for n in conversation(f"racer {number}", NODES_EACH)
    )
    assert everything == ana.pulled()
    # The genesis, the invite, sixteen joins, sixteen pushes: no number wasted, none used twice.
    assert [None] * (2 + 2 * RACERS) == [slot.void_reason for slot in owner.replica.slots()]
    assert verify(owner).ok
