"""The session list as people ask for it: those that a filter means, in an order, called by what was asked in them.

A list makes no request: titles are made of what was said as far as that is on this device.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import numpy as np

from query.answers import Asked, Listed
from query.catalog import Catalog
from query.facts import choose, facts_of, totals_of
from query.filter import SessionFilter
from query.paths import Path
from query.search import ordered
from query.sessions import totals
from query.source import Source
from query.texts import Texts
from query.titles import title_of
from store.texts import unmarked

_sessions_at_once: Final = 500  # whose prompts are held: one may be a pasted log


def listed(source: Source, asked: Asked, texts: Texts, catalog: Catalog | None = None) -> Listed:
    """The first `asked.limit` of the sessions that the filter means, and what all of these used. Words are not looked at.

    `texts`: of the source, `here_only`. `catalog`: of this very source, from a process that is asked again.
    """
    chosen = choose(source, asked.chosen, asked.clock, asked.names, catalog)
    used = totals(source) if asked.chosen == SessionFilter() else totals_of(source, chosen)
    places = ordered(chosen, asked.order, np.arange(len(chosen.numbers)))[: asked.limit]
    paths = list(chosen.paths.known.some(chosen.numbers[places]))
    titles = tuple(_titles(paths, texts))
    untitled = sum(
        title is None and not texts.elsewhere.isdisjoint(path.whole.prompts)
        for title, path in zip(titles, paths, strict=True)
    )
    return Listed(tuple(map(facts_of, paths)), titles, used, len(chosen.numbers), untitled)


def _titles(paths: Sequence[Path], texts: Texts) -> Iterator[str | None]:
    """What each is called; None where nothing was asked, or it is not on this device."""
    left = iter(paths)
    while some := list(islice(left, _sessions_at_once)):
        said = dict(texts.every({prompt for path in some for prompt in path.whole.prompts}))
        for path in some:
            yield title_of(unmarked(said.get(prompt, "")) for prompt in reversed(path.whole.prompts))
