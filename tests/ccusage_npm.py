"""Installing ccusage (npm, pinned) for the tests that compare with it; skips, saying why, where that is impossible."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "ccusage"
install_seconds_max = 120


def install(folder: Path) -> Path:
    """Install it into `folder`; answers its command line's script."""
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        pytest.skip("ccusage left out: there is no npm here")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    options = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0")
    # Not `npm ci`: it wants every platform's binary in the lock, and those of other platforms may be unpublished.
    try:
        subprocess.run(
            [npm, "install", *options],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=install_seconds_max,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as problem:
        told = problem.stderr or ""
        pytest.skip(f"ccusage left out: npm could not install it: {str(told)[-300:]}")
    return folder / "node_modules" / "ccusage" / "src" / "cli.js"


def daily(script: Path, agent: str, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Its daily report for an agent, offline, by model."""
    command = ["node", str(script), agent, "daily", "--json", "--offline", "--breakdown"]
    home = {"HOME": str(script.parents[3])}
    done = subprocess.run(
        command,
        env={**os.environ, **home, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    days: list[dict[str, Any]] = json.loads(done.stdout)["daily"]
    return days
