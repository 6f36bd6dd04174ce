"""Weights that change while jobs wait: from then on the tree is as if it had been made with them."""

from __future__ import annotations

from jupyter_quantum.core.fairshare import Demand, Rules, Shares


def demand(name: str, organisation: str, project: str, at: float) -> Demand:
    return Demand(name, "aer", organisation, project, "ada", at, 10.0, 10.0)


def order(shares: Shares) -> list[str]:
    """The jobs in the order in which they would be picked."""
    twin, found = shares.copy(), []
    while twin.head is not None:
        found.append(twin.pick(twin.head.id, 100.0).id)
    return found


def filled(rules: Rules) -> Shares:
    shares = Shares(rules)
    for number in range(6):
        shares.add(demand(f"a{number}", "campus", "a", number), float(number))
        shares.add(demand(f"b{number}", "campus", "b", number + 0.5), float(number))
    return shares


def test_new_weights_count_at_once() -> None:
    """Equal projects take turns; with three times the weight one gets three of four, of waiting jobs too."""
    shares = filled(Rules())
    assert order(shares)[:4] in (["a0", "b0", "a1", "b1"], ["a0", "b0", "b1", "a1"])
    shares.reweigh(Rules(weights={("campus", "b"): 3.0}))
    assert order(shares) == order(filled(Rules(weights={("campus", "b"): 3.0})))
    assert sum(name.startswith("b") for name in order(shares)[:8]) == 6


def test_what_was_used_stays() -> None:
    """A new weight divides what was used; it does not forget it."""
    shares = filled(Rules())
    for _ in range(4):
        assert shares.head is not None
        shares.pick(shares.head.id, 10.0)
    before = {path: usage for path, (_, usage, _) in shares.usages().items()}
    shares.reweigh(Rules(weights={("campus", "a"): 2.0}))
    after = shares.usages()
    assert {path: usage for path, (_, usage, _) in after.items()} == before
    assert after["campus", "a"][0] == 2.0
