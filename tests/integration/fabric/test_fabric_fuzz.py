"""The fuzzer's short form: two hundred mutated files, the same each time."""

from __future__ import annotations

import random

from tests.hostile.mutate import mutant
from tests.prove.fuzz import Fuzz


async def test_mutated_files_end_in_clear_answers() -> None:
    """Refusals in words, sound preparations, workers that die contained; a bystander is served, nothing is left."""
    fuzz = Fuzz(seed=2026)
    await fuzz.run(200)
    assert fuzz.violations == []
    assert fuzz.sound > 5
    assert sum(fuzz.refused.values()) > 100
    assert fuzz.helped > 0


def test_a_seed_makes_the_same_files() -> None:
    """A case that was found is found again by its number."""
    made = [[mutant(random.Random(f"7/{case}")).data for case in range(50)] for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0])) > 40
