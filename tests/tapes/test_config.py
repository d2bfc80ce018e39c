"""Settings: precedence, strictness, and project names that are no bare TOML keys."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import UsageError
from tapes.config import SETTINGS, Config, config_path
from tests.command_line import Person

_SENSIBLE = {
    "storage.sync_interval": "15m",
    "storage.proxy": "http://proxy.example:3128",
    "storage.ca_bundle": "/etc/ssl/own.pem",
    "storage.upload_limit": "2MB/s",
    "storage.download_limit": "2MB/s",
}  # of the settings that are neither a choice nor any text


def _config(folder: Path, environ: dict[str, str] | None = None) -> Config:
    return Config(folder / "config.toml", environ or {})


@pytest.mark.parametrize(
    ("flag", "env", "file", "value", "origin"),
    [
        ("never", "always", "auto", "never", "flag"),
        (None, "always", "never", "always", "env"),
        (None, None, "never", "never", "file"),
        (None, "", "never", "never", "file"),
        (None, None, None, "auto", "default"),
    ],
)
def test_flag_wins_over_environment_over_file_over_default(
    tmp_path: Path, flag: str | None, env: str | None, file: str | None, value: str, origin: str
) -> None:
    """Each source counts only where none before it says anything; an empty variable says nothing."""
    if file is not None:
        (tmp_path / "config.toml").write_text(f'[ui]\ncolor = "{file}"\n')
    config = _config(tmp_path, {} if env is None else {"TAPES_UI_COLOR": env})

    found = config.get("ui.color", flag)

    assert (value, origin) == (found.value, found.origin)


def test_every_setting_has_its_own_variable(tmp_path: Path) -> None:
    """TAPES_<SECTION>_<KEY> overrides each setting, and no two share a variable."""
    variables = [setting.env for setting in SETTINGS]
    assert len(set(variables)) == len(variables)
    for setting in SETTINGS:
        value = setting.choices[-1] if setting.choices else _SENSIBLE.get(setting.key, "something")
        assert value == _config(tmp_path, {setting.env: value}).text(setting.key)


@given(project=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text != "*"))
def test_any_project_name_can_have_its_own_visibility(
    tmp_path_factory: pytest.TempPathFactory, project: str
) -> None:
    """Dots, slashes, quotes, newlines: what is set for a project is read back for it, and for no other."""
    config = _config(tmp_path_factory.mktemp("config"))
    config.set({f"default-visibility.{project}": "team"})

    again = Config(config.path, {})

    assert "team" == again.visibility(project)
    assert "private" == again.visibility(project + "'s neighbour")


def test_a_project_without_a_word_of_its_own_follows_all(tmp_path: Path) -> None:
    """`default-visibility` speaks for every project of which nothing is said, and for turns of none."""
    config = _config(tmp_path)
    config.set({"default-visibility": "team", "default-visibility.secret": "private"})

    assert ("team", "team", "private") == (
        config.visibility("other"),
        config.visibility(None),
        config.visibility("secret"),
    )


def test_the_short_form_of_visibility_makes_room_for_projects(tmp_path: Path) -> None:
    """A hand-written `default-visibility = "team"` is understood, and survives setting a project's own."""
    (tmp_path / "config.toml").write_text('default-visibility = "team"\n')
    config = _config(tmp_path)
    config.set({"default-visibility.a.b": "private"})

    assert ("team", "private") == (config.visibility("x"), config.visibility("a.b"))


def test_a_rewrite_keeps_comments_and_order(tmp_path: Path) -> None:
    """The file belongs to its user: what they wrote around a value stays."""
    (tmp_path / "config.toml").write_text(
        '# mine\n[storage]\nregion = "eu" # near\n\n[ui]\ncolor = "never"\n'
    )
    _config(tmp_path).set({"storage.region": "us", "storage.bucket": "file:///b"})

    text = (tmp_path / "config.toml").read_text()
    assert text.startswith('# mine\n[storage]\nregion = "us" # near\n')
    assert 'color = "never"' in text
    assert 0o600 == (tmp_path / "config.toml").stat().st_mode & 0o777


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    """A typo in a command is an error with the key that was meant; so is one in the file, with the file's name."""
    with pytest.raises(UsageError) as error:
        _config(tmp_path).get("storage.buket")
    assert "storage.bucket" in error.value.hint

    (tmp_path / "config.toml").write_text('[storage]\nprovidr = "local"\n')
    with pytest.raises(UsageError, match=r"config\.toml") as in_file:
        _config(tmp_path)
    assert "storage.provider" in in_file.value.hint


@pytest.mark.parametrize("text", ["[storage", "storage = 3\n", "[storage]\nbucket = 3\n", "\xff"])
def test_a_broken_file_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    """No settings file, however wrong, ends in anything but a UsageError."""
    (tmp_path / "config.toml").write_bytes(text.encode("latin-1"))

    with pytest.raises(UsageError, match=r"config\.toml"):
        _config(tmp_path)


def test_a_value_that_cannot_be_is_refused_wherever_it_comes_from(tmp_path: Path) -> None:
    """A wrong choice names its source; nothing is written."""
    with pytest.raises(UsageError, match="TAPES_STORAGE_PROVIDER") as error:
        _config(tmp_path, {"TAPES_STORAGE_PROVIDER": "sky"}).get("storage.provider")
    assert "hybrid" in error.value.hint
    with pytest.raises(UsageError):
        _config(tmp_path).set({"ui.color": "pink"})
    assert not (tmp_path / "config.toml").exists()


def test_the_go_tools_file_is_left_alone(tmp_path: Path) -> None:
    """The Go tool keeps its own config.toml in the same folder: ours then stands beside it."""
    theirs = 'version = 0\n[storage]\nsqlite_path = "x"\n'
    (tmp_path / "config.toml").write_text(theirs)
    config = Config(config_path(tmp_path), {})
    config.set({"ui.color": "never"})

    assert "never" == Config(config_path(tmp_path), {}).text("ui.color")
    assert theirs == (tmp_path / "config.toml").read_text()


def test_a_setting_taken_out_follows_the_default_again(tmp_path: Path) -> None:
    """`config unset` gives the default back, says what that means for the team, and refuses a key that is none."""
    ada = Person(tmp_path / "ada")
    ada.ok("config", "set", "sync.content.demo", "metadata")
    told = ada.tapes("config", "unset", "sync.content.demo")

    assert (0, "") == (told.code, told.out)
    assert "sync.content.demo = full (default)" in told.err
    assert "From the next sync on, what was said goes along" in told.err
    assert "demo" not in (ada.home / "config.toml").read_text()
    wrong = ada.tapes("config", "unset", "sync.contents")
    assert 2 == wrong.code
    assert "sync.content" in wrong.err
