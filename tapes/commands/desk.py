"""What a command works on: local store, identity, the client of the bucket; opened when asked for, closed at the end."""

from contextlib import ExitStack
from functools import cached_property
from typing import Self

from crypto.errors import UsageError
from crypto.vault import Vault, open_vault
from query.source import Source, open_source
from store.blobs import BlobStore
from store.local import LocalStore, local_store_path
from store.metering import MeteredStore, Traffic
from store.open_store import compose, open_store
from sync.client import Client, ClientPaths
from sync.home_lock import HomeLock
from sync.identity import Identity
from sync.membership import Bucket
from tapes.commands.context import Run
from tapes.home import read_passphrase
from tapes.identity import load_identity
from tapes.network import network_of

NO_BUCKET_HINT = "tapes storage configure --bucket s3://bucket/prefix (or file:///path)"


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
        """This device's own nodes."""
        self.run.home.prepare()
        store = LocalStore.open(local_store_path(self.run.home.path))
        return self._closing.enter_context(store)

    @cached_property
    def identity(self) -> Identity:
        """Who this device is; KeyNeeded before `tapes init`."""
        return load_identity(self.run.home.identity, vault_of(self.run))

    @property
    def bucket(self) -> Bucket:
        """The configured bucket; UsageError without one."""
        url = self.run.config.text("storage.bucket")
        if url is None:
            raise UsageError("no bucket is configured", hint=NO_BUCKET_HINT)
        text = self.run.config.text
        return Bucket(url, text("storage.endpoint_url"), text("storage.region"))

    def client_of(self, bucket: Bucket, identity: Identity | None = None) -> Client:
        """This member's client of a bucket; `identity`: of a device that is only about to become this home's."""
        home = self.run.home
        identity = identity or self.identity
        home.prepare()
        bare = open_bucket(self.run, bucket)
        store, self._meter = compose(bare)
        paths = ClientPaths(home.replica, home.cache, home.evidence)
        client = Client(identity, store, paths, self._lock)
        self._closing.callback(client.close)
        return client

    def bare_store(self, bucket: Bucket) -> BlobStore:
        """A bucket's store, for who has no identity; retried and counted as the client's is."""
        bare = open_bucket(self.run, bucket)
        store, self._meter = compose(bare)
        return store

    @cached_property
    def client(self) -> Client:
        """The client of the configured bucket."""
        return self.client_of(self.bucket)

    @property
    def is_hybrid(self) -> bool:
        """Whether the bucket takes part in what is shown and done."""
        return self.run.config.text("storage.provider") == "hybrid"

    def source(self) -> Source:
        """All sessions: this device's own and, when there is a team, what was pulled."""
        shares = self.is_hybrid and self.run.home.identity.exists() and self.run.config.text("storage.bucket")
        source = open_source(self.local, self.client if shares else None)
        return self._closing.enter_context(source)

    def traffic(self) -> Traffic:
        """What this run asked of the bucket so far."""
        return self._meter.traffic() if self._meter is not None else Traffic()


def open_bucket(run: Run, bucket: Bucket) -> BlobStore:
    """A bucket's bare store, reached as the settings say."""
    network = network_of(run.config)
    return open_store(bucket.url, endpoint_url=bucket.endpoint_url, region=bucket.region, network=network)


def vault_of(run: Run) -> Vault:
    """The vault that `tapes init` chose."""
    in_os = run.config.text("keys.vault") == "os"
    return open_vault(run.home.path, "os" if in_os else "file", read_passphrase())
