"""Which models are live, in the table alone; what the registry says of them is in tests/behaviour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from profilelake.lake import Lake
from profilelake.training import champions
from profilelake.training.champions import Champion, Crowned
from profilelake.training.gate import Verdict
from profilelake.training.tracking import Version

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def won(model: str, version: str, run_id: str) -> Crowned:
    return Crowned(Version(model, version, run_id), Verdict(True, "accuracy", 0.7, "it is better"), f"sha of {run_id}")


def history(lake: Lake) -> list[tuple[str, str, str, bool]]:
    rows = lake.read("champions").orderBy("model", "since").collect()
    return [(row["model"], row["version"], row["mlflow_run_id"], row["until"] is None) for row in rows]


def test_every_change_stays_also_where_a_registry_counts_from_one_again(lake: Lake) -> None:
    hour = timedelta(hours=1)
    champions.crown(lake, [won("selfie_R1", "1", "a"), won("selfie_R2", "1", "b")], NOON)
    champions.crown(lake, [won("selfie_R1", "2", "c")], NOON + hour)
    champions.crown(lake, [won("selfie_R1", "1", "d")], NOON + 2 * hour)  # of a store that was made anew
    assert history(lake) == [
        ("selfie_R1", "1", "a", False),
        ("selfie_R1", "2", "c", False),
        ("selfie_R1", "1", "d", True),
        ("selfie_R2", "1", "b", True),
    ]
    assert champions.current(lake, "selfie_") == {
        "selfie_R1": Champion("selfie_R1", "1", "d", "sha of d", NOON + 2 * hour),
        "selfie_R2": Champion("selfie_R2", "1", "b", "sha of b", NOON),
    }


def test_a_version_of_the_live_ones_number_takes_its_place(lake: Lake) -> None:
    champions.crown(lake, [won("selfie_R1", "1", "a")], NOON)
    champions.crown(lake, [won("selfie_R1", "1", "b")], NOON + timedelta(hours=1))
    assert history(lake) == [("selfie_R1", "1", "a", False), ("selfie_R1", "1", "b", True)]


def test_who_is_live_and_wins_again_stays(lake: Lake) -> None:
    champions.crown(lake, [won("selfie_R1", "1", "a")], NOON)
    champions.crown(lake, [won("selfie_R1", "1", "a")], NOON + timedelta(hours=1))
    assert history(lake) == [("selfie_R1", "1", "a", True)]
    assert champions.crown(lake, [], NOON).changed == 0
