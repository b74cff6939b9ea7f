"""A small plausible lake, made without any of the pipeline's own transforms: what its tables hold is computed here.

Twenty users post crops of the photographs that the installed packages carry, in eight categories; one name and some
record ids are hostile.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
import numpy as np
import skimage.data
import sklearn.datasets
from PIL import Image

from profilelake.behaviour.figures import MEASURES
from profilelake.lake import Lake
from profilelake.tables import TABLES
from tests.behaviour import drawn

HOSTILE = "<script>alert('x')</script>\"&'<img src=x onerror=alert(1)>"
RUN = "20260301T115900-aaaaaaaa"
STUDY = "20260228T100000-cccccccc"
STUDY_FIGURES = ("figure 9", "figure 10")
FIT = "20260301T120000-fit"
START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = (
    "mara.lind", "tomasz_k", "yuki 🌸", "ben & jerry", "عمر", "sofia.reyes", "kwame", "ines_m", "li.wei", "hedda",
    "pascal", "nur", "oskar_b", "dilara", "finn", "chloé", "amit", "runa", "teo", HOSTILE,
)  # fmt: skip


NETWORK = "efficientnet_lite0"
# What the network calls the pictures of a category, and the domains of that name; a wig names none here.
LABELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Selfie": ("wig", ()),
    "Cat": ("tabby", ("animals",)),
    "Food": ("espresso", ("food and drink",)),
    "Flower": ("daisy", ("biology",)),
    "Building": ("palace", ("art, architecture and archaeology", "royalty and nobility")),
    "Vehicle": ("moped", ("transport and travel",)),
    "Night Sky": ("planetarium", ("physics and astronomy", "education")),
    "Rocket": ("missile", ("warfare and defense",)),
}


@dataclass(frozen=True)
class Synthetic:
    """Rows of every table that the report reads, without `run_id` (but for `runs`)."""

    tables: dict[str, list[dict[str, Any]]]

    def write(self, lake: Lake) -> None:
        """Lay the rows down in an empty lake. Plain appends: a fifth of what a MERGE costs, and Delta still checks
        types, constraints and what may not be NULL."""

        def lay(name: str) -> None:
            schema = TABLES[name].schema
            rows = [
                tuple(row.get(column, lake.run_id if column == "run_id" else None) for column in schema.names)
                for row in self.tables[name]
            ]
            frame = lake.spark.createDataFrame(rows, schema).coalesce(1)
            frame.write.format("delta").mode("append").saveAsTable(lake.name(name))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lay, self.tables))


def _photographs() -> dict[str, list[np.ndarray]]:
    hopper = Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    motorcycle = skimage.data.stereo_motorcycle()[0]
    return {
        "Selfie": [skimage.data.astronaut()[:300, 60:360], np.asarray(Image.open(hopper))],
        "Cat": [skimage.data.chelsea()],
        "Food": [skimage.data.coffee()],
        "Flower": [sklearn.datasets.load_sample_image("flower.jpg")],
        "Building": [sklearn.datasets.load_sample_image("china.jpg")],
        "Vehicle": [motorcycle],
        "Night Sky": [skimage.data.hubble_deep_field()],
        "Rocket": [skimage.data.rocket()],
    }


def _crop(photograph: np.ndarray, chance: random.Random) -> bytes:
    height, width = photograph.shape[:2]
    side = int(min(height, width) * chance.uniform(0.55, 0.98))
    left, top = chance.randrange(width - side + 1), chance.randrange(height - side + 1)
    cut = photograph[top : top + side, left : left + side]
    exposed = np.clip(cut.astype(float) * chance.uniform(0.75, 1.25), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(exposed).convert("RGB").resize((240, 240)).save(out, "JPEG", quality=85)
    return out.getvalue()


def make(seed: int = 5, pictures: int = 20, users: int = 20) -> Synthetic:
    """Twenty users by default, eight categories of up to `pictures` pictures."""
    chance = random.Random(seed)
    categories = list(photographs := _photographs())
    images: dict[str, tuple[str, bytes]] = {}
    for number, category in enumerate(categories):
        for _ in range(pictures - 2 * number):
            content = _crop(chance.choice(photographs[category]), chance)
            images[hashlib.sha256(content).hexdigest()] = (category, content)
    of: dict[str, list[str]] = defaultdict(list)
    for image_id, (category, _) in images.items():
        of[category].append(image_id)
    distance = {image_id: chance.uniform(0.2, 1.1) for image_id in images}

    posts, post_images = [], []
    for n, name in enumerate(NAMES[:users]):
        user_id = f"instagram:{1000 + n}"
        liking = [chance.random() ** 3 + 0.01 for _ in categories]
        for p in range(chance.choice([4, 9, 25, 40, 60])):
            post_id = f"instagram:{n:02d}p{p:03d}"
            listed = 1 if chance.random() < 0.7 else chance.randint(2, 5)
            posts.append(
                {
                    "post_id": post_id, "source": "instagram", "relation": "posted", "user_id": user_id,
                    "owner_id": user_id, "posted_at": START + timedelta(hours=7 * p + n), "caption": name,
                    "hashtags": [], "likes": chance.randrange(2000), "comments": 3, "n_images": listed,
                    "crawled_at": START + timedelta(days=60), "last_seen_at": START + timedelta(days=60),
                    "source_ref": f"demo/{n}.jsonl:{p + 1}",
                }
            )  # fmt: skip
            for position in range(listed):
                category = chance.choices(categories, liking)[0]
                post_images.append(
                    {"post_id": post_id, "position": position, "image_id": chance.choice(of[category]),
                     "source_ref": f"demo/{post_id}_{position}.jpg"}
                )  # fmt: skip
    favourite = dict(posts[0], post_id="instagram:x:favourite:instagram:1000", relation="favourite", n_images=0)
    by_user: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for post in posts:
        by_user[post["user_id"]].append(post)
    shown = defaultdict(list)
    for row in post_images:
        shown[row["post_id"]].append(images[row["image_id"]][0])

    user_rows, user_categories, profiles = [], [], []
    for n, name in enumerate(NAMES[:users]):
        user_id = f"instagram:{1000 + n}"
        own = by_user[user_id]
        n_images, occurrences, alone = Counter(), Counter(), Counter()
        for post in own:
            n_images.update(shown[post["post_id"]])
            distinct = set(shown[post["post_id"]])
            occurrences.update(distinct)
            alone.update(distinct if len(distinct) == 1 else ())
        total = sum(occurrences.values())
        user_rows.append(
            {"user_id": user_id, "source": "instagram", "user_name": name, "first_seen_at": own[0]["posted_at"],
             "last_seen_at": own[-1]["posted_at"], "posts": len(own), "followers": None}
        )  # fmt: skip
        mix = [
            {"category": c, "images": n_images[c], "occurrences": occurrences[c], "frequency": occurrences[c] / total,
             "inertia": n_images[c] / occurrences[c], "singleness": alone[c] / occurrences[c]}
            for c in sorted(occurrences, key=lambda c: (-occurrences[c], c))
        ]  # fmt: skip
        user_categories += [dict(row, user_id=user_id, fit_id=FIT) for row in mix]
        selfies = occurrences["Selfie"]
        profiles.append(
            {
                "user_id": user_id, "source": "instagram", "user_name": name,
                "first_seen_at": own[0]["posted_at"], "last_seen_at": own[-1]["posted_at"], "posts": len(own),
                "favourites": 0, "images": sum(n_images.values()),
                "median_likes": float(median(post["likes"] for post in own)),
                "behaviour_categories": mix, "behaviour_top_category": mix[0]["category"],
                "behaviour_posts": len(own), "behaviour_occurrences": total, "behaviour_fit_id": FIT,
                "behaviour_selfie_occurrences": selfies, "behaviour_selfie_frequency": selfies / total,
                **_habits(n, selfies / total),
                **_interests(n, n_images),
                "missing": [] if selfies else [{"column": "behaviour_selfie_inertia", "reason": "no selfies"}],
                "profiled_at": START + timedelta(days=61),
            }
        )  # fmt: skip
    silent = "instagram:9999"
    user_rows.append({"user_id": silent, "source": "instagram", "user_name": None, "posts": 0})
    profiles.append(
        {"user_id": silent, "source": "instagram", "posts": 0, "favourites": 1, "images": 0, "missing": [],
         "profiled_at": START + timedelta(days=61)}
    )  # fmt: skip

    # The largest category but one is two clusters of one name, and a person has chosen it.
    centroids, image_clusters, cluster_id = [], [], 0
    for category in categories:
        parts = [of[category][::2], of[category][1::2]] if category == "Cat" else [of[category]]
        for part in parts:
            nearest = sorted(part, key=lambda image_id: (distance[image_id], image_id))
            centroids.append(
                {
                    "purpose": "categories", "fit_id": FIT, "cluster_id": cluster_id, "centroid": [0.0] * 4,
                    "size": len(part), "category": category, "reviewed": category == "Cat",
                    "proposed_category": "tabby" if category == "Cat" else category,
                    "evidence": f"labels of {len(part)} pictures speak for {category}",
                    "exemplar_image_ids": nearest[:12],
                }
            )  # fmt: skip
            image_clusters += [
                {"image_id": image_id, "purpose": "categories", "fit_id": FIT, "cluster_id": cluster_id,
                 "distance": distance[image_id], "silhouette": 0.2, "fitted": True}
                for image_id in part
            ]  # fmt: skip
            cluster_id += 1

    curve = {k: 0.2 + 0.09 * np.exp(-(((k - 22) / 14) ** 2)) + chance.uniform(-0.012, 0.012) for k in range(10, 61, 2)}
    sweep = []
    for k in curve:
        near = [curve[j] for j in range(k - 4, k + 5, 2) if j in curve]
        sweep.append(
            {"purpose": "categories", "fit_id": FIT, "k": k, "silhouette": float(curve[k]),
             "silhouette_smoothed": float(np.mean(near)), "inertia": 90_000 / k, "iterations": 20, "chosen": k == 26}
        )  # fmt: skip
    refused = [
        ("ingest", f"demo/{HOSTILE}.jsonl:3", "bad_json", "line 3 is no JSON object: " + HOSTILE),
        *(("ingest", f"demo/many.jsonl:{n}", "bad_timestamp", "'yesterday' is no time") for n in range(1, 1235)),
        ("ingest", "instagram:01p001#2", "image_missing", "demo/gone.jpg is not in the crawl"),
        ("images", "instagram:02p002#0", "image_failed", "broken data stream when reading image file"),
    ]
    runs = [
        _ledger(RUN, "run", "build_profiles", 0),
        _ledger(RUN, "ingest", "build_profiles", 1, rows_in=2300, rows_out=1065, seconds=12.4,
                rows_quarantined=1236, counters=[{"name": "unknown_keys", "value": 17}]),
        _ledger(RUN, "images", "build_profiles", 20, rows_in=104, rows_out=103, seconds=71.0,
                rows_quarantined=1, images_per_second=14.32, warnings=["no GPU was given, the CPU is used"]),
        _ledger(RUN, "clusters", "build_profiles", 30, rows_in=103, rows_out=103, seconds=31.0),
        _ledger(RUN, "preference", "build_profiles", 32, status="skipped",
                reason="no Siamese model is registered yet"),
        _ledger(STUDY, "run", "train_selfie", -93_540),
        _ledger(STUDY, "train_selfie", "train_selfie", -93_540, rows_in=25, rows_out=25, seconds=90.0),
        _ledger("20260201T080000-bbbbbbbb", "score", "build_profiles", -40_000, status="failed",
                error="OSError: the model <b>store</b> is away"),
    ]  # fmt: skip
    return Synthetic(
        {
            "users": user_rows,
            "posts": [*posts, favourite],
            "post_images": post_images,
            "images": [
                {"image_id": image_id, "content": bytearray(content), "format": "jpeg", "width": 240, "height": 240,
                 "n_bytes": len(content)}
                for image_id, (_, content) in images.items()
            ],
            "quarantine": [
                {"stage": stage, "record_id": record, "user_id": None, "source_ref": record, "reason": reason,
                 "detail": detail, "attempts": 1, "first_seen_at": START}
                for stage, record, reason, detail in refused
            ],
            "image_faces": [
                {"image_id": image_id, "faces": faces, "boxes": [], "largest_face_share": 0.2,
                 "detector_sha256": "0" * 64}
                for image_id, (category, _) in images.items()
                for faces in [2 if category == "Selfie" and distance[image_id] > 0.9 else int(category == "Selfie")]
            ],
            "cluster_fits": [
                {"purpose": "categories", "fit_id": FIT, "backbone": "efficientnet_lite0", "weights_sha256": "0" * 64,
                 "preprocessing": "margin 288", "basis": "all", "k": 26, "fitted_at": START + timedelta(days=59),
                 "current": True, "drift": 0.031, "images": len(images), "mean_distance": 0.7,
                 "warning": "The silhouette is flat between 24 and 30: <another> k would do as well."},
                {"purpose": "categories", "fit_id": "older", "backbone": "resnet50", "weights_sha256": "0" * 64,
                 "preprocessing": "margin 288", "basis": "all", "k": 3, "fitted_at": START, "current": False,
                 "drift": None, "images": 9, "mean_distance": 0.7, "warning": None},
                {"purpose": "selfie", "fit_id": "kinds", "backbone": "resnet50", "weights_sha256": "0" * 64,
                 "preprocessing": "margin 288", "basis": "all", "k": 2, "fitted_at": START, "current": True,
                 "drift": None, "images": 9, "mean_distance": 0.7, "warning": None},
            ],
            "cluster_sweeps": sweep,
            "cluster_centroids": [
                *centroids,
                dict(centroids[0], fit_id="older", category="Stale Category"),
                dict(centroids[0], purpose="selfie", fit_id="kinds", category="Outdoor Selfie", cluster_id=0),
                dict(centroids[0], purpose="selfie", fit_id="kinds", category="Face Mask Selfie", cluster_id=1),
            ],
            "image_clusters": [
                *image_clusters,
                *(
                    {"image_id": image_id, "purpose": "selfie", "fit_id": "kinds", "cluster_id": int(n % 4 == 0),
                     "distance": 0.1, "silhouette": 0.1, "fitted": True}
                    for n, image_id in enumerate(of["Selfie"])
                ),
            ],
            "user_categories": user_categories,
            **_labels(images, chance),
            **_study(),
            "user_profiles": profiles,
            "runs": runs,
        }
    )  # fmt: skip


def _habits(n: int, selfie_frequency: float) -> dict[str, Any]:
    """What the behaviour and score stages add to a profile; every fifth user has no type and no score yet."""
    if n % 5 == 0:
        return {}
    return {
        "behaviour_type": f"{n % 3 + 1}: Food",
        "behaviour_attributes": [
            {"attribute": "Food", "value": 0.25 + n / 100, "occurrences": 9},
            {"attribute": "Travel", "value": 0.5, "occurrences": 12},
            {"attribute": "WeChat", "value": None, "occurrences": 0},
        ],
        **{f"behaviour_{name}": 0.5 for name in MEASURES},
        "behaviour_selfie_frequency": selfie_frequency,
        "behaviour_scores": [{"task": "R1", "probability": 0.75, "model_version": "2", "evidence": 40}],
    }


def _interests(n: int, n_images: Counter[str]) -> dict[str, Any]:
    """What the interests stage adds to a profile; every seventh user has too few labelled pictures."""
    named: Counter[str] = Counter()
    for category, count in n_images.items():
        named.update(dict.fromkeys(LABELS[category][1], count))
    tags = [{"domain": domain, "occurrences": 4, "rank": rank} for rank, domain in enumerate(("animals", "music"), 1)]
    shown = {"interests_relation": "posted", "interests_from_tags": tags, "interests_tags": 8}
    if n % 7 == 0:
        return shown
    top = sorted(named.items(), key=lambda item: (-item[1], item[0]))[:5]
    return {
        **shown,
        "interests_from_pictures": [
            {"domain": domain, "occurrences": count, "rank": rank} for rank, (domain, count) in enumerate(top, 1)
        ],
        "interests_network": NETWORK, "interests_images": sum(n_images.values()) - n_images["Selfie"],
        "interests_overlap": int("animals" in dict(top)),
    }  # fmt: skip


def _labels(images: dict[str, tuple[str, bytes]], chance: random.Random) -> dict[str, list[dict[str, Any]]]:
    """The best label of every picture, and a lesser one that is nobody's example."""
    of_label = {"weights_sha256": "0" * 64, "network": NETWORK}
    return {
        "image_labels": [
            {"image_id": image_id, "rank": rank, "class_index": 0, "label": label, "score": score, **of_label}
            for image_id, (category, _) in images.items()
            for rank, label, score in ((1, LABELS[category][0], chance.random()), (2, "tabby", 1.0))
        ],
        "interest_words": [
            {"kind": kind, "word": label, "domains": list(domains), "rule": "kept" if domains else "no_domain",
             "occurrences": 1, "lexicon": "0" * 16}
            for label, domains in LABELS.values()
            for kind in ("label", "tag")
        ],
    }  # fmt: skip


def _study() -> dict[str, list[dict[str, Any]]]:
    """What the newest training wrote, and what an older one did, which nobody is to see."""
    stale = {"paper": 1, "run_id": "20260101T000000-dddddddd"}
    evaluations = [asdict(row) | {"paper": 1, "run_id": STUDY} for row in drawn.evaluations()]
    figures = [asdict(row) for row in drawn.rows() if row.figure in STUDY_FIGURES]
    judged = dict(evaluations[0], artefact="4.1 categories", run_id=RUN, task="all", metric="kappa")
    return {
        "evaluations": [*evaluations, judged, *(dict(row, value=0.1) | stale for row in evaluations)],
        "figure_data": [
            *(dict(row, paper=1, run_id=STUDY) for row in figures),
            *(dict(row, label="Stale") | stale for row in figures),
        ],
    }


def _ledger(run_id: str, stage: str, job: str, minutes: int, **values: Any) -> dict[str, Any]:
    started_at = datetime(2026, 3, 1, 11, 59, tzinfo=UTC) + timedelta(seconds=minutes)
    return {"run_id": run_id, "stage": stage, "job": job, "status": "done", "started_at": started_at, "seconds": 0.1,
            "warnings": [], "version": "0.1.0", **values}  # fmt: skip
