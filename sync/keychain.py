"""The epoch keys a client can open: from its own wraps, and backwards along the chain."""

from collections.abc import Sequence
from typing import Final

from crypto.epochs import open_chain, unwrap_key
from crypto.errors import KeyNeeded, SealBroken, VerificationFailed
from crypto.identities import SecretKeys
from crypto.sealing import SealKey
from sync.roster import EpochRecord, Roster, Space

_ASK_HINT: Final = (
    "`tapes storage sync` asks for it again, and the next write of another member brings it;"
    " with an invite link: ask for another link"
)


class Keychain:
    """Opens epochs with the given holders' keys (a device; a joiner's invite). Opened keys live in memory only."""

    def __init__(self, holders: Sequence[SecretKeys]) -> None:
        self._seeds = {holder.public.x25519: holder.box_seed for holder in holders}
        self._opened: dict[tuple[bytes, int], SealKey] = {}

    def newest(self, roster: Roster, space_id: bytes) -> SealKey:
        """The key that new objects of a space are sealed under."""
        return self.at(roster, space_id, len(roster.spaces[space_id].epochs))

    def at(self, roster: Roster, space_id: bytes, epoch: int) -> SealKey:
        """One epoch's key. KeyNeeded when nothing we hold leads to it; SealBroken when what should, is junk."""
        known = self._opened.get((space_id, epoch))
        if known is not None:
            return known
        space = roster.spaces.get(space_id)
        if space is None or not 1 <= epoch <= len(space.epochs):
            raise KeyNeeded(f"the team has no epoch {epoch} of space {space_id.hex()}")
        key = self._nearest(roster, space, epoch)
        while key.epoch > epoch:
            key = self._keep(self._step_back(space, key))
        return key

    def can_read(self, roster: Roster, space_id: bytes) -> bool:
        """Whether we are a recipient of any epoch of a space; says nothing of whether the wraps are sound."""
        space = roster.spaces.get(space_id)
        return space is not None and any(self._seeds.keys() & record.wraps.keys() for record in space.epochs)

    def _nearest(self, roster: Roster, space: Space, epoch: int) -> SealKey:
        """The lowest key at or above `epoch` that we hold or can unwrap."""
        broken: SealBroken | None = None
        for record in space.epochs[epoch - 1 :]:
            held = self._opened.get((space.id, record.number))
            if held is not None:
                return held
            try:
                found = self._unwrap(roster, space, record)
            except SealBroken as error:  # another wrap, or a later epoch's chain, may still lead here
                broken = error
                continue
            if found is not None:
                return self._keep(found)
        if broken is not None:
            raise broken
        raise KeyNeeded(
            f"no key for space {space.id.hex()} epoch {epoch}",
            hint="only the space's members can read this; ask one to run `tapes storage sync`, which wraps again",
        )

    def _unwrap(self, roster: Roster, space: Space, record: EpochRecord) -> SealKey | None:
        broken: SealBroken | None = None
        for recipient, seed in self._seeds.items():
            for wrap in record.wraps.get(recipient, ()):
                try:
                    return unwrap_key(seed, roster.team, space.id, record.number, wrap, record.commitment)
                except SealBroken as error:
                    broken = error
        if broken is not None:
            author = record.author.hex()[:16]
            raise SealBroken(broken.obj, f"{broken.problem}; written by device {author}", hint=_ASK_HINT)
        return None

    def _step_back(self, space: Space, key: SealKey) -> SealKey:
        newer, older = space.epochs[key.epoch - 1], space.epochs[key.epoch - 2]
        if newer.chain is None:
            raise KeyNeeded(f"epoch {key.epoch} of space {space.id.hex()} chains to nothing")
        try:
            return open_chain(key, newer.chain, older.commitment)
        except VerificationFailed as broken:  # FormatBroken too: its author may have put anything there
            author = newer.author.hex()[:16]
            raise SealBroken(
                broken.obj, f"{broken.problem}; written by device {author}", hint=_ASK_HINT
            ) from None

    def _keep(self, key: SealKey) -> SealKey:
        self._opened[key.space, key.epoch] = key
        return key
