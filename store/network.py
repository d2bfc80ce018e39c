"""How a bucket on the network is reached: proxy, the site's own certificate authority, bandwidth. A folder needs none of it."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from crypto.errors import UsageError

no_proxy: Final = "off"  # go straight there, whatever HTTPS_PROXY says
no_limit: Final = "off"
rate_bytes_per_second_min: Final = 8_000  # below it a single object would keep everybody waiting for hours
_RATE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([kmg]i?)?b/s\Z", re.IGNORECASE)
_FACTOR: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


@dataclass(frozen=True, slots=True)
class Network:
    """Settings of the way to the bucket; None: as the environment says (HTTPS_PROXY, AWS_CA_BUNDLE), or no limit."""

    proxy: str | None = field(default=None, repr=False)  # may hold a password; `off`: none
    ca_bundle: str | None = None
    upload_bytes_per_second: int | None = None
    download_bytes_per_second: int | None = None


AS_IT_IS: Final = Network()


def rate_of(text: str) -> int | None:
    """Bytes per second of a limit as 2MB/s, 500kB/s or 1.5MiB/s; None for `off`. UsageError, with what was probably meant."""
    if text == no_limit:
        return None
    match = _RATE.match(text)
    if match is None or "b/s" in text:  # a small b means bits to whoever sells lines: eight times less
        raise UsageError(f"{text!r} is no rate", hint=_meant_rate(text))
    rate = int(float(match[1]) * _FACTOR[(match[2] or "").lower()])
    if rate < rate_bytes_per_second_min:
        raise UsageError(
            f"{text!r} is too slow to push anything",
            hint=f"give at least {rate_bytes_per_second_min // 1000}kB/s",
        )
    return rate


def _meant_rate(text: str) -> str:
    bits = re.match(r"([0-9.]+) ?([kmg])(?:b|bit)(?:/s|ps)\Z", text, re.IGNORECASE)
    if bits is not None and not text.endswith("B/s"):
        return f"bits? {float(bits[1]) / 8:g}{bits[2].upper() if bits[2] != 'k' else 'k'}B/s is the same in bytes"
    number = re.match(r"([0-9]+(?:\.[0-9]+)?) ?([kKmMgG]i?)?[bB]?\Z", text)
    if number is not None and number[2]:
        return f"did you mean {number[1]}{number[2]}B/s?"
    return "as 2MB/s, 500kB/s or 1.5MiB/s; off: no limit"


def check_proxy(url: str) -> str:
    """A proxy's URL, or `off`. UsageError, with what was probably meant; a password in it is not repeated."""
    if url == no_proxy:
        return url
    parts = _split(url)
    if (
        parts is None
        or parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.path not in ("", "/")
    ):
        raise UsageError(f"{shown_proxy(url)!r} is no proxy that can be used", hint=_meant_proxy(url))
    return url


def shown_proxy(url: str) -> str:
    """The proxy as messages show it: without user and password."""
    return re.sub(r"^((?:https?|socks\w*|ftp)://)?.*@", r"\1…@", url, flags=re.IGNORECASE | re.DOTALL)


def has_password(url: str) -> bool:
    """Whether a proxy's URL names a user or a password."""
    return "@" in url


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return None if parts.query or parts.fragment else parts


def _meant_proxy(url: str) -> str:
    if url.lower().startswith("socks"):
        return "SOCKS is not spoken here: name an HTTP proxy, as http://proxy.example:3128"
    if re.match(r"[A-Za-z0-9.-]+:[0-9]{1,5}/?\Z", url):
        return f"did you mean http://{url.rstrip('/')}?"
    return "as http://proxy.example:3128; off: none, whatever HTTPS_PROXY says"


def check_ca_path(text: str) -> str:
    """The path of a CA bundle, whole: a relative one would mean another file in every folder."""
    if not Path(text).is_absolute():
        raise UsageError(
            f"{text!r} is no whole path", hint=f"did you mean {Path(text).expanduser().absolute()}?"
        )
    return text


def check_ca_bundle(path: str) -> None:
    """Whether the file holds certificates. UsageError; a request would only say that something is wrong with TLS."""
    import ssl  # noqa: PLC0415 - every command reads the settings; only one in a hundred homes has such a file

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:  # a missing file, and what is no PEM
        reason = (
            error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else "no PEM"
        )
        raise UsageError(
            f"the CA bundle {path} cannot be used: {reason}",
            hint="name a file with your authority's certificates (PEM), in storage.ca_bundle",
        ) from None
