from __future__ import annotations

import pytest

from tasearch.search.space import SearchSpace


def make_space(ladder: tuple[str, ...] = ("plain8", "plain6", "plain4"), **changes: object) -> SearchSpace:
    values: dict[str, object] = {
        "teacher": "plain10",
        "student": "plain2",
        "ladder": ladder,
        "max_tas": 3,
        "temperatures": (2.0, 4.0, 8.0, 16.0),
        "kd_weights": (0.5, 0.9, 1.0),
        "scope": "last",
        **changes,
    }
    return SearchSpace(**values)  # type: ignore[arg-type]


def params(num_tas: int, *slots: int, temperature: float = 8.0, kd_weight: float = 0.5) -> dict[str, float]:
    named = {f"ta{number}": index for number, index in enumerate(slots)}
    return {"num_tas": num_tas, **named, "temperature": temperature, "kd_weight": kd_weight}


def test_slots_are_sorted_by_capacity() -> None:
    chain = make_space().chain(params(2, 2, 0, 1))
    assert chain.path == ("plain10", "plain8", "plain4", "plain2")


def test_a_ta_named_twice_counts_once() -> None:
    assert make_space().chain(params(3, 1, 1, 1)).path == ("plain10", "plain6", "plain2")


def test_unused_slots_are_ignored() -> None:
    space = make_space()
    assert space.chain(params(1, 2, 0, 1)) == space.chain(params(1, 2, 1, 0))


def test_scope_last_trains_tas_at_the_recommended_pair() -> None:
    chain = make_space().chain(params(1, 2, 0, 0))
    assert (chain.temperatures, chain.kd_weights) == ((4.0, 8.0), (0.9, 0.5))


def test_scope_chain_uses_one_pair_throughout() -> None:
    chain = make_space(scope="chain").chain(params(1, 2, 0, 0))
    assert (chain.temperatures, chain.kd_weights) == ((8.0, 8.0), (0.5, 0.5))


def test_three_rungs_give_eight_paths_and_ninety_six_chains() -> None:
    space = make_space()
    assert len(space.paths()) == 8
    assert len({chain.key for chain in space.all_chains()}) == 96


@pytest.mark.parametrize("max_tas", [0, 1, 2])
def test_max_tas_limits_the_paths(max_tas: int) -> None:
    assert max(len(path) for path in make_space(max_tas=max_tas).paths()) == max_tas


def test_params_and_chain_are_inverse() -> None:
    space = make_space()
    assert all(space.chain(space.params(chain)) == chain for chain in space.all_chains())


def test_an_empty_ladder_leaves_only_the_pair_to_search() -> None:
    space = make_space(ladder=())
    assert set(space.distributions) == {"temperature", "kd_weight"}
    assert all(chain.is_direct for chain in space.all_chains())


def test_baseline_pairs_start_with_the_recommended_one() -> None:
    assert make_space().baseline_pairs(6)[0] == (4.0, 0.9)


def test_baseline_pairs_are_distinct_and_bracket_the_grid() -> None:
    pairs = make_space().baseline_pairs(6)
    assert len(set(pairs)) == 6
    assert {temperature for temperature, _ in pairs} >= {2.0, 16.0}
    assert {weight for _, weight in pairs} >= {0.5, 1.0}


def test_baseline_pairs_never_exceed_the_grid() -> None:
    space = make_space(temperatures=(3.0,), kd_weights=(0.2, 0.4))
    assert sorted(space.baseline_pairs(6)) == [(3.0, 0.2), (3.0, 0.4)]


def test_scope_stage_gives_each_slot_its_own_pair() -> None:
    values = params(1, 2, 0, 0)
    pairs = {
        f"ta{slot}_{name}": value for slot in range(3) for name, value in (("temperature", 2.0), ("kd_weight", 1.0))
    }
    chain = make_space(scope="stage").chain({**values, **pairs})
    assert (chain.temperatures, chain.kd_weights) == ((2.0, 8.0), (1.0, 0.5))


def test_at_scope_stage_a_pair_moves_with_its_ta_when_slots_are_sorted() -> None:
    pairs = {f"ta{slot}_temperature": float(2 ** (slot + 1)) for slot in range(3)}
    weights = {f"ta{slot}_kd_weight": 0.9 for slot in range(3)}
    chain = make_space(scope="stage").chain({**params(2, 2, 0, 1), **pairs, **weights})
    assert (chain.path[1:-1], chain.temperatures) == (("plain8", "plain4"), (4.0, 2.0, 8.0))


@pytest.mark.parametrize("scope", ["last", "chain", "stage"])
def test_all_chains_are_distinct_and_as_many_as_said(scope: str) -> None:
    space = make_space(temperatures=(2.0, 4.0), kd_weights=(0.9, 1.0), scope=scope)
    chains = list(space.all_chains())
    assert len(set(chains)) == len(chains) == space.num_chains
    assert all(space.chain(space.params(chain)) == chain for chain in chains)


@pytest.mark.parametrize("scope", ["last", "chain", "stage"])
def test_a_drawn_chain_is_not_known(scope: str) -> None:
    space = make_space(temperatures=(2.0, 4.0), kd_weights=(0.9,), scope=scope)
    chains = list(space.all_chains())
    assert space.draw(set(chains[:-1]), 0, with_tas=False) == chains[-1]
    assert space.draw(set(chains), 0, with_tas=False) is None


def test_a_chain_is_drawn_from_a_space_too_large_to_list() -> None:
    space = make_space(scope="stage")
    drawn = {space.draw(set(), seed, with_tas=True) for seed in range(20)}
    assert len(drawn) > 15
    assert all(chain is not None and chain.tas for chain in drawn)


def test_scope_scratch_has_one_pair_and_chains_whose_ta_is_taught_by_nobody() -> None:
    space = make_space(scope="scratch", max_tas=1)
    chain = space.chain(params(1, 2, temperature=8.0))
    assert (chain.ta_from, chain.temperatures) == ("scratch", (8.0, 8.0))
    assert space.chain(space.params(chain)) == chain
    assert space.chain(params(0, 2)).ta_from == "distilled"
    assert len({chain.key for chain in space.all_chains()}) == space.num_chains == 4 * 12
