"""Finals: each arm on each replicate, with test accuracy written once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, select, update

from tasearch.domain.errors import StorageError
from tasearch.domain.result import FinalRow, Role
from tasearch.domain.spec import ChainSpec
from tasearch.stores.schema import FinalTable, StudyTable
from tasearch.stores.transactions import PATIENCE_SECONDS, insert_into, read, write


class FinalRecords:
    """The finals of every study; safe to use from many processes and threads."""

    def __init__(self, engine: Engine, *, patience: float = PATIENCE_SECONDS) -> None:
        """`patience`: seconds for which an unreachable database is tried again before StorageError."""
        self._engine = engine
        self._patience = patience

    def open_round(self, study_name: str, rows: Sequence[FinalRow]) -> bool:
        """Plan a round, unless another worker already has: the first planner decides who takes part.

        All `rows` belong to one round. Returns False, changing nothing, where that round has rows.
        Raises StorageError for an unknown study.
        """
        rounds = {row.round for row in rows}
        if len(rounds) != 1:
            raise ValueError(f"one round is opened at a time, got rounds {sorted(rounds)}")
        _check_distinct(rows)
        study = select(StudyTable.study_name).where(StudyTable.study_name == study_name).with_for_update()
        planned = select(FinalTable.arm).where(FinalTable.study_name == study_name, FinalTable.round == rounds.pop())

        def work(connection: Connection) -> bool:
            # Locking the study makes planners wait for each other.
            if connection.execute(study).one_or_none() is None:
                raise StorageError(
                    f"no study named `{study_name}` in this database",
                    hint="`tasearch studies` lists those it has",
                )
            if connection.execute(planned.limit(1)).first() is not None:
                return False
            _insert(connection, study_name, rows)
            return True

        return write(self._engine, work, patience=self._patience)

    def plan(self, study_name: str, rows: Sequence[FinalRow]) -> None:
        """Add the rows that are not there yet, for example further replicates of a round's arms."""
        _check_distinct(rows)
        if rows:
            write(
                self._engine,
                lambda connection: _insert(connection, study_name, rows),
                patience=self._patience,
            )

    def record_val(
        self, study_name: str, round: int, arm: str, replicate: int, fingerprint: str, val_accuracy: float
    ) -> None:
        """Record the trained student of a row. Raises StorageError for a row that was not planned."""
        query = _update(study_name, round, arm, replicate).values(fingerprint=fingerprint, val_accuracy=val_accuracy)

        def work(connection: Connection) -> None:
            if connection.execute(query).rowcount != 1:
                raise _unknown(study_name, round, arm, replicate)

        write(self._engine, work, patience=self._patience)

    def record_failure(self, study_name: str, round: int, arm: str, replicate: int, failure: str) -> None:
        """Record why a row could not be trained. Raises StorageError for a row that was not planned."""
        query = _update(study_name, round, arm, replicate).values(failure=failure)

        def work(connection: Connection) -> None:
            if connection.execute(query).rowcount != 1:
                raise _unknown(study_name, round, arm, replicate)

        write(self._engine, work, patience=self._patience)

    def record_test(self, study_name: str, round: int, arm: str, replicate: int, test_accuracy: float) -> bool:
        """Record the test accuracy of a row once; False, changing nothing, where it has one already.

        Raises StorageError for a row that was not planned.
        """
        query = _update(study_name, round, arm, replicate)
        first = query.where(FinalTable.test_accuracy.is_(None)).values(test_accuracy=test_accuracy)
        known = select(FinalTable.arm).where(*_is_row(study_name, round, arm, replicate))

        def work(connection: Connection) -> bool:
            if connection.execute(first).rowcount == 1:
                return True
            if connection.execute(known).one_or_none() is None:
                raise _unknown(study_name, round, arm, replicate)
            return False

        return write(self._engine, work, patience=self._patience)

    def rows(self, study_name: str) -> list[FinalRow]:
        """Return the finals of a study by round, role (finalists, BLKD, NOKD), arm and replicate."""
        query = select(FinalTable.__table__).where(FinalTable.study_name == study_name)
        found = read(
            self._engine,
            lambda connection: [_final_row(row) for row in connection.execute(query)],
            patience=self._patience,
        )
        # Sorted here: databases disagree about the order of text.
        roles = list(Role)
        return sorted(found, key=lambda row: (row.round, roles.index(row.role), row.arm, row.replicate))


def _check_distinct(rows: Sequence[FinalRow]) -> None:
    """Refuse two chains under one label, of which one would be dropped in silence."""
    chains: dict[tuple[int, str], ChainSpec | None] = {}
    for row in rows:
        if chains.setdefault((row.round, row.arm), row.chain) != row.chain:
            raise ValueError(f"two chains of round {row.round} share the arm `{row.arm}`")


def _insert(connection: Connection, study_name: str, rows: Sequence[FinalRow]) -> None:
    values = [
        {
            "study_name": study_name,
            "round": row.round,
            "arm": row.arm,
            "replicate": row.replicate,
            "role": row.role,
            "chain": row.chain,
            "search_val_accuracy": row.search_val_accuracy,
            "fingerprint": row.fingerprint,
            "val_accuracy": row.val_accuracy,
            "test_accuracy": row.test_accuracy,
            "failure": row.failure,
        }
        for row in rows
    ]
    connection.execute(insert_into(connection, FinalTable).on_conflict_do_nothing(), values)


def _is_row(study_name: str, round: int, arm: str, replicate: int) -> tuple[Any, ...]:
    return (
        FinalTable.study_name == study_name,
        FinalTable.round == round,
        FinalTable.arm == arm,
        FinalTable.replicate == replicate,
    )


def _update(study_name: str, round: int, arm: str, replicate: int) -> Any:
    return update(FinalTable).where(*_is_row(study_name, round, arm, replicate))


def _unknown(study_name: str, round: int, arm: str, replicate: int) -> StorageError:
    return StorageError(
        f"study `{study_name}` has no final of `{arm}` on replicate {replicate} in round {round}",
        hint="plan the round before recording its results",
    )


def _final_row(row: Row[Any]) -> FinalRow:
    chain = row.chain
    return FinalRow(
        round=row.round,
        role=Role(row.role),
        arm=row.arm,
        chain=None if chain is None else ChainSpec.from_plain(chain),
        search_val_accuracy=row.search_val_accuracy,
        replicate=row.replicate,
        fingerprint=row.fingerprint,
        val_accuracy=row.val_accuracy,
        test_accuracy=row.test_accuracy,
        failure=row.failure,
    )
