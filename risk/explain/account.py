"""The account of alarms and releases in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from risk.cli import Result
from risk.config import Config
from risk.decisions.account import Account, Gain, Judged, Verdict, Why
from risk.explain import plain_words
from risk.explain.plain_words import counted
from risk.ledger.ledger import Ledger

OF_WHY: Mapping[Why, str] = {
    Why.PERSISTS: "later rows show the change too",
    Why.RECOVERED: "the feed recovered by itself",
    Why.FACT: "seen, not inferred",
    Why.STAYED_AWAY: "no drop came for another usual interval",
    Why.GONE: "later rows are as before",
    Why.CAME_SOON: "the next drop came soon",
    Why.FEW_DROPS: "too little has come since",
    Why.UNCLEAR: "later rows do not tell yet",
    Why.NOT_FOLLOWED: "no later rows were compared",
}


@dataclass(frozen=True)
class AccountReport(Result):
    """The account, as text on the command line."""

    account: Account

    def in_full(self, config: Config, ledger: Ledger) -> dict[str, Any]:
        """Return the account itself, as the API does."""
        return asdict(self.account)

    def __str__(self) -> str:
        return "\n".join([*in_words(self.account), *_list(self.account.alarms)])


def in_words(account: Account) -> list[str]:
    """Say how the alarms turned out, and what the releases brought."""
    if account.since is None:
        return ["No model has been live yet, so there is nothing to account for."]
    return [_of_alarms(account), *_of_warnings(account), _of_releases(account), *_of_gain(account)]


def in_plain_words(account: Account) -> str:
    """Say in a sentence or two how the alarms turned out."""
    begin = f"In {counted(round(account.days), 'day')} there"
    n_allowed = account.alarms_allowed
    most = f"{n_allowed:.1f}" if n_allowed >= 0.05 else "almost no"
    allowed = f"The budget allowed {most} false alarms."
    if not account.alarms:
        return f"{begin} was no alarm. {allowed}"
    were = "was" if len(account.alarms) == 1 else "were"
    confirmed, false, undecided = map(
        account.count, (Verdict.CONFIRMED, Verdict.FALSE, Verdict.UNDECIDED)
    )
    parts = f"{confirmed:,} confirmed since, {false:,} false, {undecided:,} undecided"
    return f"{begin} {were} {counted(len(account.alarms), 'alarm')}: {parts}. {allowed}"


def subject(alarm: Judged) -> str:
    """Name what an alarm was about."""
    return plain_words.in_short(plain_words.subject(alarm.subject))


def verdict(alarm: Judged) -> str:
    """Say what became of an alarm, and why that is thought."""
    return f"{alarm.verdict}: {OF_WHY[alarm.why]}"


def shift(alarm: Judged) -> str:
    """Write how far later rows are beyond what is tolerated."""
    if alarm.shift is None or alarm.shift.lower is None or alarm.shift.upper is None:
        return "not known"
    return f"{alarm.shift.value:+.2f} sd [{alarm.shift.lower:+.2f}, {alarm.shift.upper:+.2f}]"


def _of_alarms(account: Account) -> str:
    budget = f"the budget allowed {account.alarms_allowed:.1f} by chance"
    begin = f"In {counted(round(account.days), 'day')}:"
    if not account.alarms:
        return f"{begin} no alarms; {budget}."
    parts = [
        f"{account.count(Verdict.CONFIRMED):,} confirmed by later rows and labels or by the feed's "
        "own recovery",
        f"{account.count(Verdict.FALSE):,} false",
        f"{account.count(Verdict.UNDECIDED):,} undecided",
    ]
    return f"{begin} {counted(len(account.alarms), 'alarm')}; {', '.join(parts)}; {budget}."


def _of_warnings(account: Account) -> list[str]:
    given, became = account.warned.warnings, account.warned.became_alarms
    alarms = "an alarm" if became == 1 else "alarms"
    return (
        [f"{counted(given, 'early warning')}, of which {became:,} became {alarms}."]
        if given
        else []
    )


def _of_releases(account: Account) -> str:
    if account.challengers is None:
        return (
            f"{counted(account.releases, 'reference')} after the first, "
            f"{account.rolled_back:,} rolled back."
        )
    return (
        f"{counted(account.challengers, 'challenger')}, "
        f"{counted(account.releases, 'release')} after the first, "
        f"{account.rolled_back:,} rolled back."
    )


def _of_gain(account: Account) -> list[str]:
    gain = account.gain
    if account.challengers is None:
        return []
    if gain is None:
        return [
            "What the releases gained is not known: no two models predicted the same labelled rows."
        ]
    rows = f"{counted(gain.rows, 'labelled row')} of {counted(gain.drops, 'drop')}"
    if gain.f1.lower is None:
        said = f"On {rows} the live model judged every customer as the first model would."
    else:
        said = f"{_gained(gain)}, on {rows}."
    if gain.not_known_before is None:
        return [said]
    return [f"{said} It is not known before {plain_words.day(gain.not_known_before)}."]


def _gained(gain: Gain) -> str:
    f1, first = gain.f1, "the first model"
    if gain.first_version != 1:
        first = f"release {gain.first_version}, the oldest there is"
    interval = f"[{f1.lower:.3f}, {f1.upper:.3f}]"
    errors, fewer = abs(gain.errors_avoided), "fewer" if gain.errors_avoided >= 0 else "more"
    saved = "saved" if gain.cost_saved >= 0 else "lost"
    return (
        f"F1 against keeping {first}: {f1.value:+.3f} {interval}, that is {errors:,} "
        f"{fewer} {'customer' if errors == 1 else 'customers'} judged wrongly and "
        f"{abs(gain.cost_saved):,.0f} {saved} by your cost matrix"
    )


def _list(alarms: tuple[Judged, ...]) -> list[str]:
    return [
        f"{alarm.opened_at:%Y-%m-%d %H:%M}  incident {alarm.incident_id}  "
        f"{alarm.kind.replace('_', ' ')}: {subject(alarm)}  "
        f"{verdict(alarm)} ({counted(alarm.drops, 'later drop')}, {shift(alarm)})"
        for alarm in alarms
    ]
