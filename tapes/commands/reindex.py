"""`tapes reindex`."""

from crypto.errors import UsageError
from query.catalog_keeper import forget
from query.index import WordIndex, remove_index
from query.indexing import index_key, update
from query.texts import Texts
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.wording import index_path, warn_unread
from tapes.progress import progress


def reindex(*, flags: Flags = no_flags) -> int:
    """Make the word index and the kept catalog anew, from what was imported and pulled.

    An interrupted index goes on at the next search.
    """
    run = begin(flags)
    with Desk(run) as desk:
        if desk.is_cloud:
            raise UsageError("the provider cloud keeps no index", hint="`tapes search` reads all turns there")
        forget(desk.run.home.index)
        key, texts = index_key(desk.identity), Texts(desk.source())
        path = index_path(desk)
        remove_index(path)
        with progress(run.out) as tell, WordIndex.open(path, key) as index:
            update(index, texts, tell)
            turns = index.count()
        warn_unread(desk, texts)
        unread = sorted(texts.unread)
    if flags.json:
        run.out.answer("reindex", {"turns": turns, "index_bytes": path.stat().st_size, "unread": unread})
    else:
        run.out.say(f"{turns} turns are in the index")
    return 0
