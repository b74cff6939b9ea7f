from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from profilelake.clusters.refit import Earlier, Wish, plan
from profilelake.clusters.vectors import Digest, Source

SOURCE = Source("efficientnet_lite0", "a" * 64, "p", None, 100, 0)
WISH = Wish("categories", SOURCE, None, "all pictures", range(10, 101, 10), True, 2)
DIGEST = Digest(images=500, distinct=400, total="12345", xor=-6)


def test_every_k_is_tried_when_there_are_enough_pictures(make_config):
    planned = plan(WISH, DIGEST, make_config())
    assert (list(planned.ks), planned.notes) == (list(range(10, 101, 10)), [])


@pytest.mark.parametrize(
    ("wish", "distinct", "ks", "note"),
    [
        (WISH, 35, [10, 20, 30], "there are only 35 distinct pictures: k from 10 to 30 was tried"),
        (WISH, 10, [10], "there are only 10 distinct pictures: k from 10 to 10 was tried"),
        (WISH, 5, [2, 3, 4, 5], "there are only 5 distinct pictures: k from 2 to 5 was tried"),
        (WISH, 2, [2], "there are only 2 distinct pictures: k from 2 to 2 was tried"),
        (
            replace(WISH, ks=[60], searched=False),
            7,
            [7],
            "k = 60 was asked for, but there are only 7 distinct pictures",
        ),
    ],
)
def test_k_is_capped_at_the_distinct_pictures(make_config, wish, distinct, ks, note):
    planned = plan(wish, replace(DIGEST, distinct=distinct), make_config())
    assert (list(planned.ks), planned.notes) == (ks, [note])


def test_a_fit_is_named_by_all_that_it_rests_on(make_config):
    config = make_config()
    same = plan(WISH, DIGEST, config).fit_id
    assert plan(WISH, DIGEST, make_config("clusters.exemplars=3", "clusters.refit=true")).fit_id == same
    others = [
        plan(replace(WISH, purpose="selfie"), DIGEST, config),
        plan(replace(WISH, basis="some"), DIGEST, config),
        plan(replace(WISH, ks=[10, 20]), DIGEST, config),
        plan(replace(WISH, source=replace(SOURCE, weights_sha256="b" * 64)), DIGEST, config),
        plan(replace(WISH, source=replace(SOURCE, preprocessing="q")), DIGEST, config),
        plan(WISH, replace(DIGEST, images=501), config),
        plan(WISH, replace(DIGEST, xor=6), config),
        plan(WISH, DIGEST, make_config("clusters.seed=1")),
        plan(WISH, DIGEST, make_config("clusters.max_iterations=7")),
        plan(WISH, DIGEST, make_config("clusters.decline=0.1")),
        plan(WISH, DIGEST, make_config("clusters.tolerance=0.1")),
        plan(WISH, DIGEST, make_config("clusters.seed_sample=100")),
        plan(WISH, DIGEST, make_config("clusters.sweep_sample=100")),
        plan(WISH, DIGEST, config, Earlier("fit-1", np.zeros((20, 3), np.float32))),
        plan(WISH, DIGEST, config, Earlier("fit-2", np.zeros((20, 3), np.float32))),
    ]
    assert len({same, *(other.fit_id for other in others)}) == 16
    precisions = {plan(WISH, DIGEST, make_config(f"clusters.precision={one}")).fit_id for one in ("fp32", "bf16")}
    assert len(precisions) == 2
    assert same in precisions  # auto is one of them


def test_an_earlier_fit_is_a_start_for_its_own_number_of_clusters(make_config):
    centroids = np.ones((20, 3), np.float32)
    assert list(plan(WISH, DIGEST, make_config(), Earlier("fit-1", centroids)).start) == [20]
    odd = plan(WISH, DIGEST, make_config(), Earlier("fit-1", centroids[:13]))
    assert (odd.start, odd.fit_id) == ({}, plan(WISH, DIGEST, make_config()).fit_id)


def test_no_spreadsheet_takes_a_fit_for_a_number(make_config):
    assert plan(WISH, DIGEST, make_config()).fit_id.startswith("fit-")
