"""The way to the bucket as this home's settings have it."""

import os
from collections.abc import Mapping
from typing import Final

from store.network import Network, no_proxy, rate_of, shown_proxy
from tapes.config import Config
from tapes.render import figures

_PROXY_VARIABLES: Final = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")


def network_of(config: Config) -> Network:
    """What is set; the environment's own variables are left to those who read them."""
    up, down = config.text("storage.upload_limit"), config.text("storage.download_limit")
    return Network(
        config.text("storage.proxy"),
        config.text("storage.ca_bundle"),
        rate_of(up) if up else None,
        rate_of(down) if down else None,
    )


def network_words(network: Network, environ: Mapping[str, str] = os.environ) -> str:
    """For `tapes doctor`, in a line; no password."""
    return ", ".join(
        (
            _proxy_words(network.proxy, environ),
            _authority_words(network.ca_bundle, environ),
            f"up {_rate_words(network.upload_bytes_per_second)}",
            f"down {_rate_words(network.download_bytes_per_second)}",
        )
    )


def _proxy_words(proxy: str | None, environ: Mapping[str, str]) -> str:
    if proxy == no_proxy:
        return "no proxy (storage.proxy)"
    if proxy is not None:
        return f"proxy {shown_proxy(proxy)} (storage.proxy)"
    for name in _PROXY_VARIABLES:
        if environ.get(name):
            return f"proxy {shown_proxy(environ[name])} ({name})"
    return "no proxy"


def _authority_words(ca_bundle: str | None, environ: Mapping[str, str]) -> str:
    if ca_bundle is not None:
        return f"authorities of {ca_bundle} (storage.ca_bundle)"
    if environ.get("AWS_CA_BUNDLE"):
        return f"authorities of {environ['AWS_CA_BUNDLE']} (AWS_CA_BUNDLE)"
    return "the usual authorities"


def _rate_words(bytes_per_second: int | None) -> str:
    return "unlimited" if bytes_per_second is None else f"{figures.size(bytes_per_second)}/s"
