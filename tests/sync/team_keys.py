"""What happens to keys in the team of tests/sync/team_machine.py: kits that are replaced, wraps that are junk."""

from contextlib import suppress
from dataclasses import replace
from secrets import token_bytes

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from crypto.epochs import wrap_bytes
from crypto.errors import KeyNeeded, SealBroken
from crypto.identities import SecretKeys, member_keys
from sync.rekey import check_rekey, rekey
from tests.attacks.hostile import hostile_epoch
from tests.faults.worlds import PowerCut
from tests.sync.team_actors import Actor, Gone
from tests.sync.team_machine import TeamMachine, chances


class TeamWithKeys(TeamMachine):
    """Any order of what TeamMachine does and of this."""

    @rule(who=chances, request=st.integers(0, 16), after=st.booleans())
    def replace_kit(self, who: int, request: int, *, after: bool) -> None:
        """A member's new kit, with a crash on the way if the request number is reached: again, one of two kits counts."""
        actor = self.pick(who)
        if not self.is_active(actor):
            return
        old, first, second = actor.who.member, member_keys(token_bytes(32)), member_keys(token_bytes(32))
        actor.gate.at, actor.gate.after = actor.gate.requests + request, after
        try:
            self.replaced(actor, old, first)
        except PowerCut:
            self.reopen(actor)
            with suppress(KeyNeeded):  # the first one counts
                self.replaced(actor, old, second)
        actor.gate.at = -1
        self.take_up(actor, old, [first, second])

    def replaced(self, actor: Actor, old: SecretKeys, new: SecretKeys) -> None:
        check_rekey(actor.client, old, new)
        rekey(actor.client, old, new)

    def take_up(self, actor: Actor, old: SecretKeys, kits: list[SecretKeys]) -> None:
        """The kit that the log says counts is the member's from here on; the old one is among the gone."""
        roster = self.fold()
        member = roster.members[actor.who.identity.member_id]
        [kit] = [kit for kit in kits if kit.public == member.keys]
        for other in self.actors:
            if other.member == actor.member:
                other.who = replace(other.who, member=kit)
        team = roster.spaces[roster.team_space]
        [shut_out] = [record.number for record in team.epochs if record.seq == member.rekeyed_seq]
        self.gone.append(Gone((old,), shut_out - 1))

    @precondition(lambda self: len(self.actors) > 1)
    @rule(who=chances, other=chances, request=st.integers(0, 16), after=st.booleans())
    def give_junk(self, who: int, other: int, request: int, *, after: bool) -> None:
        """An epoch that is junk for one device, whose asking may be cut: it reads and writes again after one write of another."""
        liar = self.pick(who)
        victim = next(a for a in (self.pick(other), self.pick(other + 1)) if a is not liar)
        if self.fold().rotation_due or not (self.is_active(liar) and self.is_active(victim)):
            return
        key = victim.who.identity.device.public.x25519
        hostile_epoch(liar.client, {key: b"\x01" + token_bytes(wrap_bytes - 1)})
        victim.gate.at, victim.gate.after = victim.gate.requests + request, after
        with suppress(PowerCut, SealBroken):
            victim.laptop.provider.sync()
        self.reopen(victim)
        with suppress(SealBroken):
            victim.laptop.provider.sync()
        self.sync_well(liar)
        self.sync_well(victim)
