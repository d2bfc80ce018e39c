"""`tapes storage configure`: a bucket is raced before anything is saved, and saved only if it passed."""

from typing import Annotated

from cyclopts import Parameter

from crypto.errors import UsageError
from store.names import slot_name
from store.probe import ProbeReport, probe_put_if_absent
from sync.membership import Bucket
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import NO_BUCKET_HINT, Desk, open_bucket
from tapes.commands.joining import forget_strangers_log


def storage_configure(
    *,
    bucket: Annotated[str | None, Parameter(help="s3://bucket/prefix or file:///path.")] = None,
    endpoint_url: Annotated[str | None, Parameter(help="For an S3 that is not Amazon's.")] = None,
    region: Annotated[str | None, Parameter(help="The S3 region.")] = None,
    flags: Flags = no_flags,
) -> int:
    """Name the bucket. It is probed first, and nothing is saved if it fails. Credentials are the usual AWS ones."""
    run = begin(flags)
    wanted = _wanted(run, bucket, endpoint_url, region)
    store = open_bucket(run, wanted, may_be_new=not _remembers_log(run, wanted))
    run.out.say("probing the bucket: 16 writers race for the same names …")
    report = probe_put_if_absent(store)
    run.home.prepare()
    if run.home.identity.exists():
        _take_on(run, wanted)
    save_bucket(run, wanted)
    _answer(run, wanted, report)
    return 0


def save_bucket(run: Run, bucket: Bucket) -> None:
    """Write a trusted bucket to the settings, and switch to it; a home that keeps nothing goes on so."""
    run.config.set(
        {
            "storage.provider": "cloud" if run.config.text("storage.provider") == "cloud" else "hybrid",
            "storage.bucket": bucket.url,
            "storage.endpoint_url": bucket.endpoint_url,
            "storage.region": bucket.region,
        }
    )


def _wanted(run: Run, url: str | None, endpoint_url: str | None, region: str | None) -> Bucket:
    """Flags and environment; what the file says of another bucket's endpoint is not meant for this one."""

    def chosen(key: str, flag: str | None) -> str | None:
        value = run.config.get(key, flag)
        return value.value if value.origin in {"flag", "env"} or url is None else None

    named = chosen("storage.bucket", url)
    if named is None:
        raise UsageError("no bucket is named", hint=NO_BUCKET_HINT)
    return Bucket(named, chosen("storage.endpoint_url", endpoint_url), chosen("storage.region", region))


def _remembers_log(run: Run, bucket: Bucket) -> bool:
    """Whether this home has a team, whose log any bucket must hold already: then none is made where a share is away."""
    if not run.home.identity.exists():
        return False
    with Desk(run) as desk:
        desk.lock()
        forget_strangers_log(desk)
        return desk.client_of(bucket).replica.head() is not None


def _take_on(run: Run, bucket: Bucket) -> None:
    """A home belongs to one team: another bucket is fine when it holds the same log, as after a move."""
    with Desk(run) as desk:
        desk.lock()
        client = desk.client_of(bucket)
        head = client.replica.head()
        if head is not None and client.log.fetch(head.seq) != head.data:
            raise UsageError(
                f"this home belongs to a team whose log is not in that bucket ({slot_name(head.seq)})",
                hint="copy the team's bucket there first, or use another TAPES_HOME for another team",
            )
        client.mark_probed()


def _answer(run: Run, bucket: Bucket, report: ProbeReport) -> None:
    for note in report.notes:
        run.out.warn(note)
    if run.flags.json:
        run.out.answer(
            "storage-configure",
            {
                "provider": run.config.text("storage.provider"),
                "bucket": bucket.url,
                "endpoint_url": bucket.endpoint_url,
                "region": bucket.region,
                "probe": {
                    "writers": report.writers,
                    "raced_objects": report.raced_objects,
                    "unknown": report.unknown,
                    "notes": list(report.notes),
                },
            },
        )
        return
    run.out.say(
        f"{report.store} passed the probe; provider is now {run.config.text('storage.provider')}", "green"
    )
    run.out.say("Next: tapes storage sync (alone), or tapes team create NAME, or tapes team join LINK")
