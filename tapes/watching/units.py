"""The service files of `tapes watch --install`: a systemd user unit, a launchd agent. Text only; nothing is written here."""

import hashlib
import plistlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from crypto.errors import UsageError
from tapes.home import Home

Kind = Literal["systemd", "launchd"]

stop_seconds_max: Final = 45  # more than the watch takes to end (watch.closing_seconds_max), then SIGKILL
restart_seconds: Final = 30
# Where things are and who signs in, as this shell has it; what is a secret itself (AWS_SECRET_ACCESS_KEY, TAPES_* passwords,
# a proxy's password) stays out of a file that others may back up.
_PASSED_ON: Final = (
    "TAPES_HOME",
    "TAPES_PASSPHRASE_FILE",
    "CLAUDE_CONFIG_DIR",
    "CODEX_HOME",
    "XDG_DATA_HOME",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CA_BUNDLE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
)
_SECRETS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_UNIT: Final = """\
[Unit]
Description=Tapes: import and sync AI agents' sessions ({home})

[Service]
Type=exec
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
{environment}EnvironmentFile=-{environment_file}
WorkingDirectory=~
UMask=0077
Nice=10
Restart=on-failure
RestartSec={restart_seconds}
# 2: the settings are wrong, and starting again will not correct them.
RestartPreventExitStatus=2
TimeoutStopSec={stop_seconds_max}
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """One service file: where it goes, what is in it, and the commands that its user runs."""

    kind: Kind
    path: Path
    content: str
    enable: tuple[str, ...]
    disable: tuple[str, ...]
    leftovers: tuple[Path, ...] = ()  # what enabling made, and removing must take along
    notes: tuple[str, ...] = ()


def unit(kind: Kind, home: Path, user_home: Path, environ: Mapping[str, str]) -> Unit:
    """The service file for a home. UsageError for a path that such a file cannot say."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "tapes",
        "watch",
    ]  # -P: no module of the working folder is imported
    passed = {
        name: environ[name] for name in _PASSED_ON if environ.get(name) and not _has_password(environ[name])
    }
    _check_sayable([str(home), str(user_home), *command, *passed.values()])
    name = _name(home, user_home)
    if kind == "systemd":
        return _systemd(name, command, passed, home, user_home, environ)
    return _launchd(name, command, passed, home, user_home, environ)


def _systemd(
    name: str,
    command: list[str],
    passed: dict[str, str],
    home: Path,
    user_home: Path,
    environ: Mapping[str, str],
) -> Unit:
    folder = Path(environ.get("XDG_CONFIG_HOME") or user_home / ".config") / "systemd" / "user"
    file = f"{name}.service"
    keys_file = Home(home).watch_environment
    content = _UNIT.format(
        home=_percent(str(home)),
        command=" ".join(_word(part) for part in command),
        environment="".join(f"Environment={_quoted(f'{key}={value}')}\n" for key, value in passed.items()),
        environment_file=_percent(str(keys_file)),
        restart_seconds=restart_seconds,
        stop_seconds_max=stop_seconds_max,
    )
    return Unit(
        "systemd",
        folder / file,
        content,
        enable=("systemctl --user daemon-reload", f"systemctl --user enable --now {file}"),
        disable=(f"systemctl --user stop {file}", "systemctl --user daemon-reload"),
        leftovers=(folder / "default.target.wants" / file,),
        notes=(
            "it runs while you are logged in; `loginctl enable-linger` lets it run always",
            *_notes(environ, f"put it into {keys_file} (NAME=value lines, mode 600) or into an AWS profile"),
        ),
    )


def _launchd(
    name: str,
    command: list[str],
    passed: dict[str, str],
    home: Path,
    user_home: Path,
    environ: Mapping[str, str],
) -> Unit:
    path = user_home / "Library" / "LaunchAgents" / f"{name}.plist"
    content = plistlib.dumps(
        {
            "Label": name,
            "ProgramArguments": command,
            "EnvironmentVariables": passed,
            "WorkingDirectory": str(user_home),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": restart_seconds,
            "ExitTimeOut": stop_seconds_max,
            "ProcessType": "Background",
            "LowPriorityIO": True,
            "Umask": 0o077,
            "StandardOutPath": "/dev/null",
            "StandardErrorPath": str(Home(home).watch_log),
        }
    ).decode()
    quoted = "'" + str(path).replace("'", "'\\''") + "'"
    return Unit(
        "launchd",
        path,
        content,
        enable=(f"launchctl bootstrap gui/$(id -u) {quoted}",),
        disable=(f"launchctl bootout gui/$(id -u)/{name}",),
        notes=_notes(environ, "put it into an AWS profile"),
    )


def _notes(environ: Mapping[str, str], remedy: str) -> tuple[str, ...]:
    """What the shell has and the service will not have."""
    missing = [name for name in _SECRETS if environ.get(name)]
    missing += [name for name in _PASSED_ON if _has_password(environ.get(name, ""))]
    return tuple(f"{name} of this shell holds a secret and is not written down: {remedy}" for name in missing)


def _name(home: Path, user_home: Path) -> str:
    """One name per home, so that two homes have two services."""
    if home == user_home / ".tapes":
        return "tapes-watch"
    return "tapes-watch-" + hashlib.sha256(str(home).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _has_password(value: str) -> bool:
    return re.search(r"://[^/]*@", value) is not None


def _check_sayable(values: list[str]) -> None:
    """Both formats are text, and a unit is read line by line: a newline in a path would be a directive of its own."""
    for value in values:
        if any(char < " " or "\ud800" <= char <= "\udfff" for char in value):
            raise UsageError(f"{value!r} cannot stand in a service file", hint="use a path of plain text")


def _percent(text: str) -> str:
    """In every value systemd expands %h and the like."""
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    return '"' + _percent(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _word(text: str) -> str:
    """An argument of ExecStart, where $ is expanded besides."""
    return _quoted(text.replace("$", "$$"))
