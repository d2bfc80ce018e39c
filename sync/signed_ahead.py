"""The signatures of a run of commits, checked by another process before the judge comes to them."""

from collections.abc import Sequence
from dataclasses import replace

from crypto.signatures_ahead import SignaturesAhead
from store import commits
from store.commits import Commit
from sync.roster import Roster


class SignedAhead:
    """The judge's question "is this commit signed by this key", answered from ahead where the guess of the key was right."""

    def __init__(self, ahead: SignaturesAhead | None) -> None:
        self._ahead = ahead
        self._asked: dict[bytes, tuple[int, bytes]] = {}  # a commit's bytes: the claim's number and its key

    def expect(self, roster: Roster | None, datas: Sequence[bytes]) -> None:
        """Have the signatures of these slots checked, by the keys that `roster` knows."""
        if self._ahead is None or roster is None:
            return
        claims, asked = [], []
        for data in datas:
            device, claim = commits.stated_signature(data) or (None, None)
            known = roster.devices.get(bytes.fromhex(device)) if device else None
            if claim is not None and known is not None:
                claims.append(replace(claim, public=known.keys.ed25519))
                asked.append(data)
        first = self._ahead.claim(claims)
        for number, (data, claim) in enumerate(zip(asked, claims, strict=True), first):
            self._asked[data] = (number, claim.public)

    def holds(self, data: bytes, commit: Commit, public: bytes) -> bool:
        """As `store.commits.is_signed`."""
        number, key = self._asked.pop(data, (0, None))
        answer = self._ahead.answer(number) if self._ahead is not None and key == public else None
        return commits.is_signed(data, commit, public) if answer is None else answer
