"""Where the race of one study stands: rows of the finals in, arms by label out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasearch.domain.result import FinalRow, Role
from tasearch.search.finals import failed_arms
from tasearch.search.race import Floats, Rule, run_race

RULES = "race_rules"
"""Attr of a study: the rule of each round, by its number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How the race of one round stands."""

    replicates: int
    """At the last look, or at the one that waits for replicates."""
    looks_taken: int
    over: bool
    winner: str | None
    leader: str | None
    """The winner, or the finalist with the best mean of those in the race; None without a race."""
    blkd_won: bool
    dropped_after: Mapping[str, int]
    """Replicates after which a finalist was dropped."""

    def due(self, arm: str) -> int:
        """Return how many replicates an arm is to have, as things stand."""
        return self.dropped_after.get(arm, self.replicates)


def standing(rows: Sequence[FinalRow], rule: Rule) -> Standing:
    """Return how the race of these rows, all of one round, stands; test accuracies have no say.

    Arms of which a run has failed take no part. Without a finalist or BLKD there is no race: every arm is to have the
    replicates of the first look.
    """
    first = min((row.replicate for row in rows), default=1)
    failed = failed_arms(rows)
    is_empty, rows = not rows, [row for row in rows if row.arm not in failed]
    names, values = val_differences(rows, rule.looks[-1], first)
    if not names:
        least = rule.deciding[0]
        done = [row.val_accuracy is not None for row in rows if row.replicate < first + least]
        over = not is_empty and all(done)
        return Standing(
            replicates=least,
            looks_taken=int(over),
            over=over,
            winner=None,
            leader=None,
            blkd_won=False,
            dropped_after={},
        )
    outcome = run_race(values[None], rule)
    winner, dropped = int(outcome.winner[0]), outcome.dropped_after[0].tolist()
    return Standing(
        replicates=int(outcome.replicates[0]),
        looks_taken=int(outcome.looks_taken[0]),
        over=bool(outcome.over[0]),
        winner=names[winner] if winner >= 0 else None,
        leader=names[int(outcome.leader[0])],
        blkd_won=bool(outcome.blkd_won[0]),
        dropped_after={name: after for name, after in zip(names, dropped, strict=True) if after},
    )


def val_differences(rows: Sequence[FinalRow], count: int, first: int) -> tuple[list[str], Floats]:
    """Return the finalists and their val accuracy minus BLKD's: shape (finalists, count), NaN where not known yet.

    `first`: the replicate of the first column.
    """
    names = list(dict.fromkeys(row.arm for row in rows if row.role is Role.FINALIST))
    blkd = {row.replicate: row.val_accuracy for row in rows if row.role is Role.BLKD}
    if not blkd:
        return [], np.empty((0, count))
    found = np.full((len(names), count), np.nan)
    for row in rows:
        direct = blkd.get(row.replicate)
        if row.role is Role.FINALIST and row.val_accuracy is not None and direct is not None:
            column = row.replicate - first
            if column < count:
                found[names.index(row.arm), column] = row.val_accuracy - direct
    return names, found


def rule_of_round(stored: Rule | None, rows: Sequence[FinalRow], num_finalists: int, looks: tuple[int, ...]) -> Rule:
    """Return the rule of a round that is now to be looked at after `looks`.

    `stored`: its rule in an earlier call, None for a new round. Looks that were taken then stay in the rule, because
    they must be paid for, but those before the present first look decide nothing any more.
    """
    if stored is None:
        return Rule.of(num_finalists, looks, looks[0])
    taken = standing(rows, stored).looks_taken
    last = stored.deciding[taken - 1] if taken else 0
    paid = {look for look in stored.looks if look <= last or look < stored.least}
    merged = tuple(sorted({*paid, *looks}))
    least = max(stored.least, looks[0]) if taken else looks[0]
    return stored if (merged, least) == (stored.looks, stored.least) else Rule.of(num_finalists, merged, least)


def stored_rule(attrs: Mapping[str, Any], number: int) -> Rule | None:
    """Return the rule of a round from its study's attrs, None where none is stored."""
    found = attrs.get(RULES, {}).get(str(number))
    return None if found is None else Rule.from_plain(found)
