"""The holdout follows from the entity and the seed alone."""

from __future__ import annotations

import numpy as np

from headrace_trainer.split import holdout_mask

KEYS = np.array([str(n) for n in range(5_000)], dtype=object)


def test_an_entity_keeps_its_side_whatever_rows_stand_around_it() -> None:
    whole = dict(zip(KEYS, holdout_mask(KEYS, 7, 0.2), strict=True))
    some = np.random.default_rng(0).permutation(np.concatenate([KEYS[1_000:2_000], KEYS[1_500:1_800]]))
    assert all(whole[key] == side for key, side in zip(some, holdout_mask(some, 7, 0.2), strict=True))


def test_the_holdout_has_about_the_asked_share_and_another_seed_draws_another() -> None:
    mask = holdout_mask(KEYS, 7, 0.2)
    assert abs(mask.mean() - 0.2) < 0.02
    other = holdout_mask(KEYS, 8, 0.2)
    assert abs((mask & other).mean() - 0.04) < 0.01


def test_a_larger_fraction_only_adds_entities() -> None:
    small, large = holdout_mask(KEYS, 7, 0.1), holdout_mask(KEYS, 7, 0.3)
    assert (large | ~small).all()


def test_the_rule_is_the_documented_one() -> None:
    # `printf 7:42 | sha256sum` begins with 6fb44d7d504d375b.
    share = 0x6FB44D7D504D375B / 2**64
    key = np.array(["42"], dtype=object)
    assert not holdout_mask(key, 7, share - 1e-9)[0] and holdout_mask(key, 7, share + 1e-9)[0]
