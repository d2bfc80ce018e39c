"""Where an export goes: stdout, a file, a folder, or a place in somebody's bucket."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from crypto.errors import TapesError, UsageError
from store.open_store import open_files
from tapes.commands.context import Run
from tapes.network import network_of
from tapes.progress import progress

if TYPE_CHECKING:  # the type only: boto3 is slow to import
    from store.s3 import S3Files

marker: Final = "_export.json"  # of a dataset, uploaded last: where it is missing, the rest is not all there
_BUCKET_URL: Final = "s3://"
_FILE_URL: Final = "file:///"


@dataclass(frozen=True, slots=True)
class Target:
    """What `-o` named; neither path nor url: stdout."""

    path: Path | None = None
    url: str | None = None

    @property
    def name(self) -> str | None:
        """The last part, whose ending tells the format."""
        if self.url is not None:
            return self.url.rstrip("/").rpartition("/")[2]
        return self.path.name if self.path is not None else None

    def __str__(self) -> str:
        return self.url if self.url is not None else str(self.path)


def target_of(output: str | None) -> Target:
    """What a command line's `-o` means."""
    if output is None or output == "-":
        return Target()
    if output.startswith(_BUCKET_URL):
        return Target(url=output)
    # Buckets are given so; as a path it would be a folder named "file:".
    path = unquote(urlsplit(output).path) if output.startswith(_FILE_URL) else output
    if "\0" in path:  # argv cannot hold one, %00 can
        raise UsageError("a path has no NUL in it", hint="-o FILE")
    return Target(Path(path))


@contextmanager
def written(run: Run, target: Target, endpoint_url: str | None, region: str | None) -> Iterator[Path | None]:
    """The path to write to, None for stdout. What a bucket gets is uploaded when the block ends well.

    It lies in plain in this machine's temporary folder until then: a file must be whole before S3 takes it.
    """
    if target.url is None:
        yield target.path
        return
    _keep_from_team(run, target.url)
    text = run.config.text
    files, last = open_files(
        target.url,
        endpoint_url=endpoint_url or text("storage.endpoint_url"),
        region=region or text("storage.region"),
        network=network_of(run.config),
    )
    there = files.names(f"{last}/", 1)
    if there:
        raise UsageError(
            f"{target.url} is a folder with something in it already",
            hint=f"name a new one; where {marker} is missing in it, an upload was cut off",
        )
    with TemporaryDirectory(prefix="tapes-export-") as folder:
        local = Path(folder) / last
        yield local
        _upload(run, files, _names(local, last))


def _keep_from_team(run: Run, url: str) -> None:
    """The team's bucket is for ciphertext: whoever runs it must not read an export there."""
    ours = run.config.text("storage.bucket")
    if ours is not None and f"{url.rstrip('/')}/".startswith(f"{ours.rstrip('/')}/"):
        raise UsageError(
            f"{url} is inside the team's bucket; an export is plain", hint="name another bucket or prefix"
        )


def _names(local: Path, last: str) -> list[tuple[str, Path]]:
    """Names and files in the order of uploading: a dataset's marker last."""
    if not local.is_dir():
        return [(last, local)]
    paths = sorted(
        (path for path in local.rglob("*") if path.is_file()), key=lambda path: (path.name == marker, path)
    )
    return [(f"{last}/{path.relative_to(local).as_posix()}", path) for path in paths]


def _upload(run: Run, files: "S3Files", names: Sequence[tuple[str, Path]]) -> None:
    """All of them, or none that stays; a kill leaves a dataset without its marker."""
    begun: list[str] = []
    try:
        with progress(run.out) as tell:
            for name, path in names:
                tell("uploading", len(begun), len(names))
                begun.append(name)
                files.upload(name, path)
    except BaseException:
        # The folder was empty before. A single file is as it was, which may be an older export: that one stays.
        for name in begun if len(names) > 1 else ():
            with suppress(TapesError):
                files.delete(name)
        raise
