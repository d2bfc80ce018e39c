"""The team that a hostile member is in: Ana the owner, Ben, and Eve; and what must go on working whatever Eve does."""

from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes

from sync.drafts import DraftContext
from sync.verify import verify
from tests.actors import NOW_MS
from tests.fakes.strict_store import StrictStore
from tests.laptops import Laptop, conversation

ANAS_PRIVATE = conversation("ana only", 2, "secret")


@dataclass(frozen=True)
class Team:
    """Ana the owner, Ben the honest member, Eve."""

    store: StrictStore
    root: Path
    ana: Laptop
    ben: Laptop
    eve: Laptop

    def goes_on(self) -> None:
        """Ana pushes, Ben reads it, Ben answers, and both check the whole bucket."""
        said = conversation(f"team goes on {token_bytes(4).hex()}", 2)
        self.ana.provider.put(said)
        self.ana.provider.sync()
        self.ben.provider.put([*said, *conversation("and ben too", 1)])
        self.ben.provider.sync()
        self.ana.provider.sync()
        assert {node.hash for node in said} <= set(self.ben.pulled())
        private = {node.hash for node in ANAS_PRIVATE}
        assert [h for h in self.ana.pulled() if h not in private] == self.ben.pulled()
        assert self.ana.client.log.point == self.ben.client.log.point

    def all_well(self) -> None:
        """As `goes_on`, and `verify` has no finding on either side."""
        self.goes_on()
        for laptop in (self.ana, self.ben):
            assert verify(laptop.client).ok, verify(laptop.client).findings

    def context(self, laptop: Laptop) -> DraftContext:
        laptop.client.log.catch_up()
        return DraftContext(
            laptop.client.log.point,
            laptop.client.log.next_seq,
            token_bytes(16),
            NOW_MS,
            laptop.client.identity,
        )

    def void_reasons(self, seq: int) -> list[str | None]:
        """What the honest ones made of a slot."""
        reasons = []
        for laptop in (self.ana, self.ben):
            laptop.client.log.catch_up()
            slot = laptop.client.replica.slot(seq)
            assert slot is not None
            reasons.append(slot.void_reason)
        return reasons
