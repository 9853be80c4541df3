"""Decisions: what was decided about the model, why, and whether it was carried out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from risk.ledger import cases, incidents, ingestions
from risk.ledger.database import Database, Record, Row, insert
from risk.ledger.queries import NEWEST, Listing, Part, page
from risk.ledger.tables import decisions, releases


@dataclass(frozen=True)
class Judgement:
    """The gate's comparison, as JSON, the resulting release, and the incidents it answers.

    `case_id` is the approved case that the decision carries out.
    """

    comparison: str | None = None
    release: Row | None = None
    answered: Sequence[int] = ()
    case_id: int | None = None


NOT_JUDGED = Judgement()


@dataclass(frozen=True)
class Reason:
    """Why something is decided: in words, and the same as a short name and facts."""

    text: str
    code: str | None = None
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Decisions:
    """The decisions, with their effects on releases, incidents and ingestions."""

    database: Database

    def record(
        self,
        action: str,
        reason: Reason | str,
        *,
        version: int | None = None,
        through: int | None = None,
        judgement: Judgement = NOT_JUDGED,
    ) -> int:
        """Record a decision, the gate's judgement and the ingestions considered; return its ID.

        `version` is the release to switch to: such a decision stays unfinished until `complete`,
        so that the next run can carry it out after a crash. `through` is the last ingestion
        considered.
        """
        common, now = {"run_id": self.database.run_id}, self.database.now
        known = reason if isinstance(reason, Reason) else Reason(reason)
        with self.database.begin() as connection:
            if judgement.release is not None:
                new = {**common, "created_at": now(), "version": version, **judgement.release}
                connection.execute(releases.insert().values(new))
            decision_id = insert(
                connection,
                decisions,
                **common,
                decided_at=now(),
                action=str(action),
                version=version,
                reason=known.text,
                reason_code=known.code and str(known.code),
                facts=None if known.facts is None else json.dumps(known.facts),
                comparison=judgement.comparison,
                completed_at=now() if version is None else None,
            )
            if version is not None:
                release = {"version": version, "decision_id": decision_id}
                incidents.resolve_answered(
                    connection, judgement.answered, action, at=now(), **release
                )
            if judgement.case_id is not None:
                cases.carry_out(connection, judgement.case_id, at=now())
            if through is not None:
                ingestions.mark_decided(connection, through=through, decision_id=decision_id)
            return decision_id

    def complete(self, decision_id: int) -> None:
        """Record that a decision was carried out."""
        done = decisions.update().where(decisions.c.id == decision_id)
        self.database.execute(done.values(completed_at=self.database.now()))

    def unfinished(self) -> Record | None:
        """Return the newest decision if a crash interrupted it before it was carried out."""
        newest = self.database.first(sa.select(decisions).order_by(decisions.c.id.desc()))
        return newest if newest and newest.completed_at is None else None

    def newest(self, *, judged: bool = False) -> Record | None:
        """Return the newest decision, or the newest for which the gate compared two models."""
        query = sa.select(decisions).order_by(decisions.c.id.desc())
        return self.database.first(
            query.where(decisions.c.comparison.is_not(None)) if judged else query
        )

    def read(self, decision_id: int) -> Record:
        """Return one decision that is known to exist."""
        return self.database.rows(sa.select(decisions).where(decisions.c.id == decision_id))[0]

    def last(self, *actions: str) -> Record | None:
        """Return the newest decision with one of these actions."""
        query = sa.select(decisions).where(decisions.c.action.in_(actions))
        return self.database.first(query.order_by(decisions.c.id.desc()))

    def comparison_for(self, version: int) -> str | None:
        """Return the gate's comparison, as JSON, that first made a release live."""
        made = (decisions.c.version == version) & (decisions.c.action == "deploy")
        query = sa.select(decisions.c.comparison).where(made).order_by(decisions.c.id).limit(1)
        comparison: str | None = self.database.scalar(query)
        return comparison

    def facts_of(self, reason_code: str, *, newest: int) -> list[dict[str, Any]]:
        """Return the facts of the newest decisions for one reason, the newest first."""
        query = sa.select(decisions.c.facts).where(decisions.c.reason_code == str(reason_code))
        found = self.database.rows(query.order_by(decisions.c.id.desc()).limit(newest))
        return [json.loads(row.facts) for row in found if row.facts]

    def of_run(self, run_id: int | None) -> Record | None:
        """Return the newest decision of a run, None if it has none."""
        query = sa.select(decisions).where(decisions.c.run_id == run_id)
        return self.database.first(query.order_by(decisions.c.id.desc()))

    def live_version(self) -> int | None:
        """Return the release made live by the newest decision to switch."""
        query = sa.select(decisions.c.version).where(decisions.c.version.is_not(None))
        newest = query.order_by(decisions.c.id.desc()).limit(1)
        version: int | None = self.database.scalar(newest)
        return version

    def page(
        self, part: Part = NEWEST, *, run_id: int | None = None, action: str | None = None
    ) -> Listing:
        """Return a page of decisions, with the gate's comparisons."""
        only = {"run_id": run_id, "action": action}
        return page(self.database, sa.select(decisions), decisions.c.id, part, **only)

    def last_comparison(self) -> dict[str, Any] | None:
        """Return the newest decision of the gate, with its comparison."""
        query = sa.select(decisions).where(decisions.c.comparison.is_not(None))
        found = page(self.database, query, decisions.c.id, Part(page_size=1)).items
        return found[0] if found else None
