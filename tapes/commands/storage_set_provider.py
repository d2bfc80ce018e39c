"""`tapes storage set-provider`."""

from typing import Annotated, Literal

from cyclopts import Parameter

from crypto.errors import UsageError
from tapes.commands.context import Flags, begin, no_flags


def storage_set_provider(
    provider: Annotated[Literal["local", "hybrid"], Parameter(help="local or hybrid.")],
    /,
    *,
    flags: Flags = no_flags,
) -> int:
    """Keep sessions on this device only (local), or sync them with the bucket too (hybrid)."""
    run = begin(flags)
    bucket = run.config.text("storage.bucket")
    if provider == "hybrid" and bucket is None:
        raise UsageError(
            "hybrid needs a bucket",
            hint="tapes storage configure --bucket s3://bucket/prefix (or file:///path)",
        )
    run.home.prepare()
    run.config.set({"storage.provider": provider})
    if flags.json:
        run.out.answer("storage-set-provider", {"provider": provider, "bucket": bucket})
    else:
        run.out.say(f"provider is now {provider}")
    return 0
