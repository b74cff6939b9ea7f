"""Names that a cluster's evidence proposes: shape, faces, labels (paper 1, 4.1 names clusters by looking at them)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy.optimize import linear_sum_assignment

from profilelake.clusters.names import Names, Spoken
from profilelake.config import Naming

# Labels that a sentence of evidence names at most.
_SHOWN = 3

_FACES = {
    "one_dominant": "one dominant face",
    "one_small": "one face that does not dominate",
    "small_group": "a small group of faces",
    "large_group": "a large group of faces",
}


@dataclass(frozen=True)
class Evidence:
    """What the pictures of one cluster show.

    Attributes:
        size: its pictures.
        labels: by label, the sum of its probability over pictures and networks.
        labelled: (picture, network) pairs with labels.
        faces: by kind (`one_dominant`, `one_small`, `small_group`, `large_group`), how many pictures show it.
        very_long: how many pictures are very long.
    """

    size: int
    labels: Mapping[str, float] = field(default_factory=dict)
    labelled: int = 0
    faces: Mapping[str, int] = field(default_factory=dict)
    very_long: int = 0

    def weight(self, labels: frozenset[str]) -> float:
        """Mean probability, 0 to 1, that a network gives to any of these labels."""
        total = sum(value for label, value in self.labels.items() if label in labels)
        return total / self.labelled if self.labelled else 0.0

    def share(self, pictures: int) -> float:
        return pictures / self.size if self.size else 0.0


@dataclass(frozen=True)
class Proposal:
    """A proposed name, why, and whether the evidence is clear."""

    name: str
    why: str
    clear: bool = True


def collect(
    assigned: DataFrame, labels: DataFrame, faces: DataFrame, images: DataFrame, networks: Sequence[str], naming: Naming
) -> dict[int, Evidence]:
    """Evidence of every cluster; what reaches the driver is a row a cluster and a row a cluster and label.

    Args:
        assigned: image_id, cluster_id.
        labels: `image_labels`; rows of other networks than `networks` are passed over.
        faces: `image_faces`; a picture that no detector has seen counts as one without faces.
        images: `images`.
        networks: whose labels count.
        naming: thresholds.
    """
    assigned = assigned.select("image_id", "cluster_id")
    counts = (
        assigned.join(faces.select("image_id", face_kind(naming).alias("kind")), on="image_id", how="left")
        .join(images.select("image_id", "width", "height"), on="image_id", how="left")
        .groupBy("cluster_id")
        .agg(
            F.count("*").alias("size"),
            F.count(F.when(F.col("height") > naming.very_long_ratio * F.col("width"), 1)).alias("very_long"),
            *[F.count(F.when(F.col("kind") == kind, 1)).alias(kind) for kind in _FACES],
        )
        .collect()
    )
    # as exact decimals, so that the sum doesn't depend on the order of the pictures
    exact = F.col("score").cast("decimal(12, 9)")
    labelled = assigned.join(labels.where(F.col("network").isin(list(networks))), on="image_id", how="inner")
    sums = (
        labelled.groupBy("cluster_id", "label")
        .agg(F.sum(exact).cast("double").alias("weight"), F.count(F.when(F.col("rank") == 1, 1)).alias("first"))
        .collect()
    )
    weights: dict[int, dict[str, float]] = {}
    pairs: dict[int, int] = {}
    for row in sums:
        weights.setdefault(row["cluster_id"], {})[row["label"]] = row["weight"]
        pairs[row["cluster_id"]] = pairs.get(row["cluster_id"], 0) + row["first"]
    return {
        row["cluster_id"]: Evidence(
            size=row["size"],
            labels=weights.get(row["cluster_id"], {}),
            labelled=pairs.get(row["cluster_id"], 0),
            faces={kind: row[kind] for kind in _FACES},
            very_long=row["very_long"],
        )
        for row in counts
    }


def face_kind(naming: Naming) -> Column:
    """What the faces of an `image_faces` row make of its picture; NULL without faces.

    `large_group` from `large_group_faces` on; `one_dominant`: the largest face fills `dominant_face_share` and no other
    is half as large; `small_group`: from `small_group_faces` on; `one_small`: fewer.
    """
    area = F.transform("boxes", lambda box: box["width"] * box["height"])
    second = F.coalesce(F.get(F.sort_array(area, asc=False), F.lit(1)), F.lit(0.0))
    alone = F.col("largest_face_share") > 2 * second
    return (
        F.when(F.col("faces") == 0, None)
        .when(F.col("faces") >= naming.large_group_faces, "large_group")
        .when((F.col("largest_face_share") >= naming.dominant_face_share) & alone, "one_dominant")
        .when(F.col("faces") >= naming.small_group_faces, "small_group")
        .otherwise("one_small")
    )


def propose(evidence: Mapping[int, Evidence], names: Names, naming: Naming) -> dict[int, Proposal]:
    """A category for every cluster: by shape, else by faces, else by labels, else the label that tells it from the
    other clusters."""
    stands_out = _outstanding(evidence, naming.prior)
    proposals = {}
    for cluster, of in evidence.items():
        proposals[cluster] = (
            _by_shape(of, names, naming)
            or _by_faces(of, names, naming)
            or _by_labels(of, names, naming)
            or _by_contrast(cluster, of, names, stands_out.get(cluster))
        )
    return proposals


def _by_shape(of: Evidence, names: Names, naming: Naming) -> Proposal | None:
    share = of.share(of.very_long)
    if share < naming.most or not of.very_long:
        return None
    for name, spoken in names.categories.items():
        if spoken.shape == "very_long":
            return Proposal(
                name, f"{share:.0%} of its pictures are more than {naming.very_long_ratio:g} times as high as wide"
            )
    return None


def _by_faces(of: Evidence, names: Names, naming: Naming) -> Proposal | None:
    best: tuple[bool, float, Proposal] | None = None
    for name, spoken in names.categories.items():
        if spoken.faces is None:
            continue
        pictures = of.faces.get(spoken.faces, 0)
        share, weight = of.share(pictures), of.weight(names.labels(spoken))
        if not pictures or share < naming.most or (spoken.by_labels and weight < naming.min_label_share):
            continue
        why = f"{share:.0%} of its pictures show {_FACES[spoken.faces]}"
        if spoken.by_labels:
            why += f", labels that go with it have {weight:.2f} on average"
        if best is None or (spoken.by_labels, share) > best[:2]:
            best = spoken.by_labels, share, Proposal(name, why)
    return best[2] if best else None


def _by_labels(of: Evidence, names: Names, naming: Naming) -> Proposal | None:
    ranked = _ranked(of, names)
    if not ranked or ranked[0][0] < naming.min_label_share:
        return None
    weight, name, spoken = ranked[0]
    why = f"labels of {name} have {weight:.2f} on average ({_shown(of, names.labels(spoken))})"
    clear = True
    if len(ranked) > 1 and ranked[1][0] > 0:
        clear = ranked[1][0] < naming.ambiguity * weight
        why += f"; {'next' if clear else 'NOT CLEAR, nearly as much'}: {ranked[1][1]} {ranked[1][0]:.2f}"
    return Proposal(name, why, clear)


def _by_contrast(cluster: int, of: Evidence, names: Names, found: tuple[str, float] | None) -> Proposal:
    if found is None:
        return Proposal(f"Cluster {cluster}", "its pictures have no labels", clear=False)
    label, z = found
    ranked = _ranked(of, names)
    best = f"; the best listed name, {ranked[0][1]}, has {ranked[0][0]:.2f}" if ranked and ranked[0][0] > 0 else ""
    return Proposal(
        label, f"no listed name fits{best}; this label tells it most from the other clusters (z = {z:.1f})", False
    )


def _ranked(of: Evidence, names: Names) -> list[tuple[float, str, Spoken]]:
    """Categories told by labels alone, most weight first, in the file's order on ties."""
    told = [(name, spoken) for name, spoken in names.categories.items() if spoken.labels and spoken.faces is None]
    weighed = [(of.weight(names.labels(spoken)), name, spoken) for name, spoken in told]
    return sorted(weighed, key=lambda one: -one[0])


def _shown(of: Evidence, labels: frozenset[str]) -> str:
    own = sorted(
        ((value, label) for label, value in of.labels.items() if label in labels), key=lambda one: (-one[0], one[1])
    )
    return ", ".join(f"{label} {value / of.labelled:.2f}" for value, label in own[:_SHOWN])


def _outstanding(evidence: Mapping[int, Evidence], prior: float) -> dict[int, tuple[str, float]]:
    """By cluster the label most over-represented against the other clusters, with its z; the first by name on ties."""
    clusters = sorted(evidence)
    labels = sorted({label for of in evidence.values() for label in of.labels})
    if not labels:
        return {}
    counts = np.array([[evidence[cluster].labels.get(label, 0.0) for label in labels] for cluster in clusters])
    z = log_odds(counts, counts.sum(axis=1), prior * counts.sum())
    found = {}
    for row, cluster in enumerate(clusters):
        own = np.flatnonzero(counts[row] > 0)
        if own.size:
            best = own[z[row, own].argmax()]
            found[cluster] = labels[best], float(z[row, best])
    return found


def log_odds(counts: npt.ArrayLike, totals: npt.ArrayLike, prior: float) -> npt.NDArray[np.float64]:
    """Log-odds ratio with an informative Dirichlet prior of every word in every group against all other groups, as z
    (Monroe, Colaresi and Quinn 2008, equations 15, 16 and 22: the difference over the root of its variance).

    Args:
        counts: (groups, words), how much of each word; fractions are fine.
        totals: (groups,), how much of all words, at least the sum of the group's counts.
        prior: weight of the prior in all; each word has its share in all groups together.

    Returns:
        (groups, words); 0 for a word that nobody has.
    """
    y_i, n_i = np.asarray(counts, np.float64), np.asarray(totals, np.float64)[:, None]
    y, n = y_i.sum(axis=0), float(n_i.sum())
    y_j, n_j = y - y_i, n - n_i
    a = prior * y / n if n else np.zeros_like(y)
    held = (y > 0)[None, :]

    def log_odd(own: npt.NDArray[np.float64], all_: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        rest = np.maximum(all_ + prior - own - a, np.finfo(np.float64).tiny)
        return np.asarray(np.log(np.where(held, own + a, 1.0)) - np.log(rest), np.float64)

    variance = 1 / np.where(held, y_i + a, 1.0) + 1 / np.where(held, y_j + a, 1.0)
    z = (log_odd(y_i, n_i) - log_odd(y_j, n_j)) / np.sqrt(variance)
    return np.where(held, z, 0.0)


def propose_kinds(evidence: Mapping[int, Evidence], names: Names, naming: Naming) -> dict[int, Proposal]:
    """A kind of selfie for every cluster of selfies.

    A kind is supported where its labels are over-represented against the other clusters (z of at least
    `kind_evidence`). Among what is supported each kind goes to one cluster, so that the sum of z is largest; a cluster
    that is left over takes its own best supported kind too (the two merge), or the kind of what shows no other.
    """
    clusters = sorted(evidence)
    kinds = [name for name, spoken in names.kinds.items() if not spoken.otherwise]
    labels = [names.labels(names.kinds[kind]) for kind in kinds]
    sums = np.array(
        [[evidence[c].weight(of) * evidence[c].labelled for of in labels] for c in clusters], np.float64
    ).reshape(len(clusters), len(kinds))
    totals = np.array([sum(evidence[c].labels.values()) for c in clusters], np.float64)
    z = log_odds(sums, totals, naming.prior * totals.sum())
    gain = np.where(z >= naming.kind_evidence, z, 0.0)
    # a column a cluster for "otherwise", which gains nothing
    rows, columns = linear_sum_assignment(np.hstack([gain, np.zeros((len(clusters), len(clusters)))]), maximize=True)
    proposals = {}
    for row, column in zip(rows, columns, strict=True):
        of = evidence[clusters[row]]
        if column >= len(kinds) or gain[row, column] == 0:
            column = int(gain[row].argmax()) if len(kinds) else 0
        if not len(kinds) or gain[row, column] == 0:
            shown = ", ".join(f"{kind} z = {value:.1f}" for kind, value in zip(kinds, z[row], strict=True))
            proposals[clusters[row]] = Proposal(names.otherwise, f"no other kind stands out ({shown})")
        else:
            why = f"labels of {kinds[column]} stand out (z = {z[row, column]:.1f}: {_shown(of, labels[column])})"
            proposals[clusters[row]] = Proposal(kinds[column], why)
    return proposals
