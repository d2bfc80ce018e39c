"""What a command works on: local store, identity, the client of the bucket; opened when asked for, closed at the end.

Each thing is imported when it is opened: an import needs no team, a sync no engine for queries, and each takes long to load.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Self

from crypto.errors import PartialFailure, StoreError, UsageError, VerificationFailed
from store.local import LocalStore, local_store_path
from store.metering import MeteredStore, Traffic
from sync.home_lock import HomeLock
from tapes.commands.context import Run
from tapes.home import read_passphrase
from tapes.network import network_of

if TYPE_CHECKING:  # the types only: see above
    from pyarrow import Table

    from crypto.vault import Vault
    from query.catalog_keeper import Keeping
    from query.source import Source
    from store.blobs import BlobStore
    from sync.client import Client
    from sync.cloud import CloudProvider
    from sync.identity import Identity
    from sync.membership import Bucket
    from sync.providers import ProgressSeen

NO_BUCKET_HINT = "tapes storage configure --bucket s3://bucket/prefix (or file:///path)"


@dataclass(slots=True)
class Taken:
    """Where an import puts its turns; at the end, those that no bucket takes, and objects that the bucket lost."""

    store: LocalStore
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (hash, why)
    broken: list[VerificationFailed] = field(default_factory=list)

    def judge(self) -> None:
        """VerificationFailed for what cannot be had, else PartialFailure for turns not kept; once the rest was reported."""
        if self.broken:
            raise self.broken[0]
        if self.skipped:
            raise PartialFailure(
                f"{len(self.skipped)} turns are too large for the bucket and were not kept",
                [f"{node}  {reason}" for node, reason in self.skipped],
            )


class Desk:
    """Use it in a `with`. Opens each thing once; nothing here makes a request."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._closing = ExitStack()
        self._meter: MeteredStore | None = None
        remark = "waiting for another tapes process in this home …"
        self._lock = HomeLock(run.home.lock, on_wait=lambda: run.out.say(remark))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def lock(self) -> None:
        """Take the home's write lock until the end: for commands that commit."""
        self.run.home.prepare()
        self._closing.enter_context(self._lock.held())

    @cached_property
    def local(self) -> LocalStore:
        """This device's own nodes. UsageError where the provider keeps none."""
        if self.is_cloud:
            raise UsageError(
                "the provider cloud keeps no turns on this device", hint="tapes storage set-provider hybrid"
            )
        self.run.home.prepare()
        store = LocalStore.open(local_store_path(self.run.home.path))
        return self._closing.enter_context(store)

    @cached_property
    def identity(self) -> "Identity":
        """Who this device is; KeyNeeded before `tapes init`."""
        from tapes.identity import load_identity  # noqa: PLC0415 - as the caption says, here and below

        return load_identity(self.run.home.identity, vault_of(self.run))

    @property
    def bucket(self) -> "Bucket":
        """The configured bucket; UsageError without one."""
        from sync.membership import Bucket  # noqa: PLC0415

        url = self.run.config.text("storage.bucket")
        if url is None:
            raise UsageError("no bucket is configured", hint=NO_BUCKET_HINT)
        text = self.run.config.text
        return Bucket(url, text("storage.endpoint_url"), text("storage.region"))

    def client_of(self, bucket: "Bucket", identity: "Identity | None" = None) -> "Client":
        """This member's client of a bucket; `identity`: of a device that is only about to become this home's."""
        from store.open_store import compose  # noqa: PLC0415
        from sync.client import Client, ClientPaths  # noqa: PLC0415

        home = self.run.home
        if home.purging.exists():
            raise UsageError(
                "a purge of the team's data was interrupted",
                hint="`tapes team leave --purge --yes` finishes it",
            )
        identity = identity or self.identity
        home.prepare()
        bare = open_bucket(self.run, bucket)
        store, self._meter = compose(bare)
        paths = ClientPaths(home.replica, home.cache, home.evidence, keeps_frames=not self.is_cloud)
        client = Client(identity, store, paths, self._lock)
        self._closing.callback(client.close)
        return client

    def bare_store(self, bucket: "Bucket") -> "BlobStore":
        """A bucket's store, for who has no identity; retried and counted as the client's is."""
        from store.open_store import compose  # noqa: PLC0415

        bare = open_bucket(self.run, bucket)
        store, self._meter = compose(bare)
        return store

    @cached_property
    def client(self) -> "Client":
        """The client of the configured bucket."""
        return self.client_of(self.bucket)

    @property
    def uses_bucket(self) -> bool:
        """Whether the bucket takes part in what is shown and done."""
        return self.run.config.text("storage.provider") != "local"

    @property
    def is_cloud(self) -> bool:
        """Whether the bucket is all there is."""
        return self.run.config.text("storage.provider") == "cloud"

    @cached_property
    def cloud(self) -> "CloudProvider":
        """The provider of a home that keeps nothing. UsageError without a bucket, KeyNeeded without identity or team."""
        from sync.cloud import CloudProvider  # noqa: PLC0415

        client = self.client
        _ = client.roster
        return CloudProvider(client, self.run.config.visibility, self.run.config.content)

    @contextmanager
    def intake(self, progress: "ProgressSeen | None" = None) -> Iterator[Taken]:
        """Where imports put turns: the local store, or one in memory that is in the bucket when the block ends well."""
        if not self.is_cloud:
            yield Taken(self.local)
            return
        with self.cloud.intake(progress) as intake:
            taken = Taken(intake.store)
            yield taken
        taken.skipped, taken.broken = intake.skipped, intake.broken
        remarks = [*intake.notices, *(broken.message for broken in intake.broken[1:])]
        for remark in remarks:
            self.run.out.warn(remark)

    def source(self, *, repriced: bool = True, about: str | None = None) -> "Source":
        """All sessions: this device's own and, when there is a team, what was pulled; of the cloud, as it is now.

        `repriced`: at the costs of `tapes reprice`, where there are some. `about`: only what a session of that name depends on.
        """
        from query.source import open_source  # noqa: PLC0415

        if self.is_cloud:
            return self._closing.enter_context(open_source(None, self._fresh_client(), about=about))
        shares = (
            self.uses_bucket and self.run.home.identity.exists() and self.run.config.text("storage.bucket")
        )
        client, costs = self.client if shares else None, self._costs() if repriced else None
        keeping = self._keeping(costs) if client is not None and repriced and about is None else None
        source = open_source(self.local, client, costs, about=about, keeping=keeping)
        return self._closing.enter_context(source)

    def _keeping(self, costs: "Table | None") -> "Keeping":
        """What is kept of all sessions, so that the next command opens in a moment what this one made."""
        from query.catalog_keeper import Keeping, catalog_key  # noqa: PLC0415 - who reads one session does without

        laid = None
        if costs is not None:
            found = self.run.home.costs.stat()
            laid = f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"  # written anew each time, in place of the former
        return Keeping(self.run.home.index, catalog_key(self.identity), self.run.out.warn, laid)

    def _fresh_client(self) -> "Client":
        """The client, once it knows the newest commits. VerificationFailed: a list that lacks what is lost would read as all."""
        pulled = self.cloud.pull()
        for notice in pulled.notices:
            self.run.out.warn(notice)
        if pulled.broken:
            raise pulled.broken[0]
        return self.client

    def _costs(self) -> "Table | None":
        """The costs of `tapes reprice`; a file that cannot be read is said to be so, and the costs as pushed are shown."""
        if not self.run.home.costs.exists() or not self.run.home.identity.exists():
            return None
        from query.costs import read_costs  # noqa: PLC0415

        try:
            return read_costs(self.run.home.costs, self.identity)
        except (VerificationFailed, StoreError) as error:
            self.run.out.warn(f"{error.message}; costs are as they were computed first (run: tapes reprice)")
            return None

    def traffic(self) -> Traffic:
        """What this run asked of the bucket so far."""
        return self._meter.traffic() if self._meter is not None else Traffic()


def open_bucket(run: Run, bucket: "Bucket", *, may_be_new: bool = False) -> "BlobStore":
    """A bucket's bare store, reached as the settings say; see `open_store`."""
    from store.open_store import open_store  # noqa: PLC0415

    return open_store(
        bucket.url,
        endpoint_url=bucket.endpoint_url,
        region=bucket.region,
        network=network_of(run.config),
        may_be_new=may_be_new,
    )


def vault_of(run: Run) -> "Vault":
    """The vault that `tapes init` chose."""
    from crypto.vault import open_vault  # noqa: PLC0415

    in_os = run.config.text("keys.vault") == "os"
    return open_vault(run.home.path, "os" if in_os else "file", read_passphrase())
