"""A process of its own that opens a home, says it is ready, waits for a line, syncs once, and may kill itself on the way.

    python -m tests.faults.one_sync '{"home": …, "bucket": …, "endpoint": …, "prefix": "log/", "at": 0, "after": false}'

stdout: "ready", then the sync's numbers as one JSON object.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto.identities import PublicKeys, unpack_secret_keys
from store.blobs import BlobStore
from store.open_store import compose, open_store
from sync.identity import Identity
from tests.actors import Person, client, person
from tests.faults.worlds import PRIVATE, CuttingStore
from tests.laptops import Laptop

HOUSE = Path(__file__).parents[2]
_IDENTITY = "identity.json"


def write_identity(home: Path, identity: Identity) -> None:
    """Leave an identity for the process; a real home keeps its secrets in a vault."""
    fields = {
        "name": identity.name,
        "member": identity.member.pack().hex(),
        "device": identity.device.pack().hex(),
        "certificate": identity.certificate.hex(),
    }
    (home / _IDENTITY).write_text(json.dumps(fields))


def read_person(home: Path) -> Person:
    """The person whose home it is, without the member's paper secret."""
    fields = json.loads((home / _IDENTITY).read_text())
    member = bytes.fromhex(fields["member"])
    identity = Identity(
        fields["name"],
        PublicKeys(member[:32], member[32:]),
        unpack_secret_keys(bytes.fromhex(fields["device"])),
        None,
        bytes.fromhex(fields["certificate"]),
    )
    return Person(person("nobody").member, identity)


@dataclass
class SyncProcess:
    """The process, from the outside."""

    running: "subprocess.Popen[str]"

    @classmethod
    def start(
        cls, home: Path, bucket: str, environment: dict[str, str] | None = None, **how: Any
    ) -> "SyncProcess":
        """Start it; it opens everything and then waits for `go`."""
        told = json.dumps({"home": str(home), "bucket": bucket, **how})
        return cls(
            subprocess.Popen(
                [sys.executable, "-m", "tests.faults.one_sync", told],
                cwd=HOUSE,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def wait_ready(self) -> None:
        """Until it has opened everything."""
        assert self.running.stdout is not None
        line = self.running.stdout.readline()
        assert line == "ready\n", self.running.communicate()

    def go(self) -> None:
        """Let it sync."""
        assert self.running.stdin is not None
        self.running.stdin.write("go\n")
        self.running.stdin.flush()

    def end(self, seconds_max: float = 60) -> tuple[int, str]:
        """Its exit code and what it said."""
        out, err = self.running.communicate(timeout=seconds_max)
        return self.running.returncode, out if self.running.returncode == 0 else err


def _kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _store(told: dict[str, Any]) -> BlobStore:
    store, _ = compose(open_store(told["bucket"], endpoint_url=told.get("endpoint")))
    if "prefix" not in told:
        return store
    return CuttingStore(store, told["at"], told["after"], told["prefix"], _kill_myself)


def main() -> None:
    told = json.loads(sys.argv[1])
    home = Path(told["home"])
    laptop = Laptop(client(read_person(home), _store(told), home), home, PRIVATE)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    report = laptop.provider.sync()
    laptop.close()
    numbers = {"nodes": report.pushed_nodes, "commits": report.pushed_commits, "races": report.lost_races}
    sys.stdout.write(json.dumps(numbers))


if __name__ == "__main__":
    main()
