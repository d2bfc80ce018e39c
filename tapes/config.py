"""Settings: which keys there are, and which of flag, environment, file and default wins (in that order)."""

import difflib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast

from crypto.errors import TapesError, UsageError
from store.network import check_ca_path, check_proxy, rate_of, shown_proxy
from tapes.commands.spans import seconds_of

Visibility = Literal["team", "private"]
ContentLevel = Literal["full", "metadata"]
Origin = Literal["flag", "env", "file", "default"]
_VISIBILITY: Final = "default-visibility"
_CONTENT: Final = "sync.content"
_ALL_PROJECTS: Final = "*"  # the entry of a table of projects that speaks for every other one


@dataclass(frozen=True, slots=True)
class Setting:
    """One key that something reads. `choices` None: any text."""

    key: str
    about: str
    choices: tuple[str, ...] | None = None
    default: str | None = None
    check: Callable[[str], object] | None = None  # UsageError, with a hint, for a text that means nothing
    per_project: bool = False  # KEY.PROJECT is a setting of its own, and follows KEY where nothing is said
    shown: Callable[[str], str] = str  # without what may be a password

    @property
    def env(self) -> str:
        """The variable that overrides the file, as TAPES_STORAGE_BUCKET."""
        return "TAPES_" + self.key.upper().replace(".", "_").replace("-", "_")


sync_interval_seconds_min: Final = 1


def sync_interval_seconds(text: str) -> int:
    """The seconds between two rounds of `tapes watch`; UsageError for what is none."""
    seconds = seconds_of(text, "an interval of")
    if seconds < sync_interval_seconds_min:
        raise UsageError(f"an interval of {text!r} is too short", hint="give 1s or more, as 60s or 15m")
    return seconds


SETTINGS: Final = (
    Setting(
        "storage.provider",
        "local: this laptop only; hybrid: and the bucket; cloud: the bucket only",
        ("local", "hybrid", "cloud"),
        "local",
    ),
    Setting("storage.bucket", "s3://bucket/prefix or file:///path"),
    Setting("storage.endpoint_url", "an S3 that is not Amazon's, as https://minio.example:9000"),
    Setting("storage.region", "the S3 region"),
    Setting(
        "storage.proxy",
        "an HTTP proxy to the bucket, as http://proxy.example:3128; off: none, whatever HTTPS_PROXY says",
        check=check_proxy,
        shown=shown_proxy,
    ),
    Setting("storage.ca_bundle", "a file with your authority's certificates (PEM)", check=check_ca_path),
    Setting("storage.upload_limit", "as 2MB/s; off: none", check=rate_of),
    Setting("storage.download_limit", "as 2MB/s; off: none", check=rate_of),
    Setting(
        "storage.sync_interval",
        "how often `tapes watch` imports and syncs, as 60s or 15m",
        default="60s",
        check=sync_interval_seconds,
    ),
    Setting(
        "storage.sync_on_close",
        "whether `tapes watch` syncs once more when it ends",
        ("true", "false"),
        "true",
    ),
    Setting(_VISIBILITY, "who can read what is pushed", ("team", "private"), "private", per_project=True),
    Setting(
        _CONTENT,
        "metadata: nothing that was said is pushed, only who used what when",
        ("full", "metadata"),
        "full",
        per_project=True,
    ),
    Setting(
        "team.publish_stats",
        "what the team's totals say of your private sessions: nothing, numbers, or numbers by project",
        ("off", "totals", "by-project"),
        "off",
    ),
    Setting("keys.vault", "where device keys rest; decided by `tapes init`", ("os", "file"), "file"),
    Setting("ui.color", "colours in the terminal", ("auto", "always", "never"), "auto"),
)
_BY_KEY: Final = {setting.key: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and where it came from; None when it is set nowhere and has no default."""

    key: str
    value: str | None = field(repr=False)
    origin: Origin

    @property
    def shown(self) -> str | None:
        """The value for people, logs and JSON: a password in it is left out."""
        return None if self.value is None else _setting_of(self.key)[0].shown(self.value)


class Config:
    """The settings of one home. Reading never writes; `set` keeps the comments of a hand-edited file."""

    def __init__(self, path: Path, environ: Mapping[str, str] | None = None) -> None:
        self._path = path
        self._environ = os.environ if environ is None else environ
        self._file = _flatten(path, _read(path))

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def get(self, key: str, flag: str | None = None) -> Value:
        """The value in force. UsageError for a key that nothing reads, or a value it cannot have."""
        setting, project = _setting_of(key)
        candidates: list[tuple[Origin, str | None]] = [("flag", flag)]
        if project is None:
            candidates.append(("env", self._environ.get(setting.env) or None))
        candidates.append(("file", self._file.get(key)))
        for origin, value in candidates:
            if value is not None:
                _check(setting, value, f"{key} ({self._named(setting, origin)})")
                return Value(key, value, origin)
        if project is not None:  # what holds for all holds for a project of which nothing is said
            return Value(key, self.get(setting.key).value, "default")
        return Value(key, setting.default, "default")

    def text(self, key: str, flag: str | None = None) -> str | None:
        """As `get`, the value alone."""
        return self.get(key, flag).value

    def visibility(self, project: str | None) -> Visibility:
        """Who may read new turns of a project; `None` is a session that belongs to none."""
        return cast("Visibility", self._of_project(_VISIBILITY, project))

    def content(self, project: str | None) -> ContentLevel:
        """How much of a project's new turns is pushed; `None` as for `visibility`."""
        return cast("ContentLevel", self._of_project(_CONTENT, project))

    def _of_project(self, key: str, project: str | None) -> str | None:
        return self.text(key if project is None else f"{key}.{project}")

    def all(self) -> Iterator[Value]:
        """Every setting, then what is said of single projects."""
        for setting in SETTINGS:
            yield self.get(setting.key)
        for key in sorted(self._file):
            if key not in _BY_KEY:
                yield self.get(key)

    def set(self, changes: Mapping[str, str | None]) -> None:
        """Write values (None removes a key) in one atomic replacement of the file."""
        import tomlkit  # noqa: PLC0415 - only the few commands that write pay for its import

        for key, value in changes.items():
            if value is not None:
                _check(_setting_of(key)[0], value, key)
        document = tomlkit.parse(self._path.read_text()) if self._path.exists() else tomlkit.document()
        for key, value in changes.items():
            _put(document, key, value)
        try:
            replace_text(self._path, tomlkit.dumps(document))
        except OSError as error:
            raise TapesError(
                f"{self._path} cannot be written: {error.strerror}",
                hint="check its folder's permissions and the disk, or set TAPES_HOME",
            ) from None
        self._file = _flatten(self._path, _read(self._path))

    def _named(self, setting: Setting, origin: Origin) -> str:
        return {"flag": "on the command line", "env": setting.env, "file": str(self._path), "default": ""}[
            origin
        ]


def config_path(home: Path) -> Path:
    """`config.toml`; beside it when that one is the Go tool's, which shares this folder and marks its file `version`."""
    path = home / "config.toml"
    return home / "tapes-sync.toml" if "version" in _read(path) else path


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} is not TOML: {error}", hint="correct that line, or remove the file"
        ) from None
    except RecursionError:
        raise UsageError(
            f"{path} nests too deeply to be settings", hint="correct it, or remove the file"
        ) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", hint="check its permissions, or set TAPES_HOME"
        ) from None


def _flatten(path: Path, document: Mapping[str, Any]) -> dict[str, str]:
    """`{dotted key: text}`. A key that nothing reads is an error: a silent typo would leave the default in force."""
    flat: dict[str, str] = {}
    for key, value in _entries(document):
        if isinstance(value, bool):
            value = str(value).lower()  # noqa: PLW2901 - `true` is how TOML says it
        if not isinstance(value, str):
            raise UsageError(f"{key} in {path} is not text", hint=f'write it in quotes, as {key} = "…"')
        try:
            _setting_of(key)
        except UsageError as error:
            raise UsageError(f"{path}: {error.message}", hint=error.hint) from None
        flat[key] = value
    return flat


def _entries(table: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    """`(dotted key, value)` of a table. A table of projects has the setting itself under `*`; only sections hold one."""
    of_projects = section in _BY_KEY and _BY_KEY[section].per_project
    for name, value in table.items():
        key = section if of_projects and name == _ALL_PROJECTS else f"{section}.{name}" if section else name
        inside = isinstance(value, dict) and (not section or (key in _BY_KEY and not of_projects))
        yield from _entries(value, key) if inside else [(key, value)]


def _setting_of(key: str) -> tuple[Setting, str | None]:
    """The setting behind a key, and the project it is about. UsageError with the nearest key there is."""
    if key in _BY_KEY:
        return _BY_KEY[key], None
    of_projects = [setting for setting in SETTINGS if setting.per_project]
    for setting in of_projects:
        project = key.removeprefix(f"{setting.key}.")
        if project and project != key:
            return setting, project
    choices = [*_BY_KEY, *(f"{setting.key}.PROJECT" for setting in of_projects)]
    near = difflib.get_close_matches(key, choices, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "`tapes config list` shows all keys"
    raise UsageError(f"there is no setting {key!r}", hint=hint)


def _check(setting: Setting, value: str, where: str) -> None:
    if setting.choices is not None and value not in setting.choices:
        raise UsageError(f"{where}: {value!r} is not possible", hint="choose " + " or ".join(setting.choices))
    if not value:
        raise UsageError(f"{where} is empty", hint=setting.about)
    if setting.check is not None:
        try:
            setting.check(value)
        except UsageError as error:
            raise UsageError(f"{where}: {error.message}", hint=error.hint) from None
    if any("\ud800" <= char <= "\udfff" for char in where + value):  # argv bytes that are no UTF-8
        raise UsageError("a setting must be UTF-8 text", hint="check the terminal's encoding (LANG, LC_ALL)")


def _put(document: Any, key: str, value: str | None) -> None:
    """One value into (or out of) a tomlkit document. `tomlkit` quotes what is no bare key: dots, slashes, spaces."""
    import tomlkit  # noqa: PLC0415 - as in Config.set

    *tables, name = _place(key)
    table = document
    for step in tables:
        if isinstance(
            table.get(step), str
        ):  # a short form, as `default-visibility = "team"`: room for projects
            table[step] = tomlkit.table() | {_ALL_PROJECTS: table.pop(step)}
        table = table.setdefault(step, tomlkit.table())
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value


def _place(key: str) -> list[str]:
    """The tables that lead to it, and the name in the last. A project's name is one name, whatever stands in it."""
    setting, project = _setting_of(key)
    name = [project or _ALL_PROJECTS] if setting.per_project else []
    return [*setting.key.split("."), *name]


def replace_text(path: Path, text: str) -> None:
    """Beside, fsync, rename: a kill leaves the old file or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(
        os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
