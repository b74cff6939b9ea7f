"""Facts by hand, and a reader of pages."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from profilelake.reports.facts import (
    Category,
    Facts,
    Fit,
    Habits,
    Interests,
    Numbers,
    Refused,
    Selfies,
    Share,
    StageRow,
    Tried,
    User,
)
from profilelake.reports.page import render
from profilelake.training.results import EvaluationRow, FigureRow

VOID = {"meta", "img", "input", "link", "br", "col", "line", "circle", "polyline"}
EMPTY = Facts(
    label="empty crawl", run_id="r1", job="build_profiles", started_at="2026-03-01 11:59", runs=1, numbers=Numbers(),
    stages=(), refused=(), fit=None, categories=(), users=(),
)  # fmt: skip


def category(name: str, images: int = 20, **values: Any) -> Category:
    given: dict[str, Any] = {
        "clusters": 1, "reviewed": False, "proposed": (name,), "evidence": ("labels speak for it",), "kinds": (),
        "posted": 3 * images, "occurrences": 2 * images, "users": 3, "exemplars": (f"{name}-1", f"{name}-2"),
    }  # fmt: skip
    return Category(name=name, images=images, **{**given, **values})


def user(number: int, **values: Any) -> User:
    given: dict[str, Any] = {
        "user_id": f"instagram:{number}", "name": f"user {number}", "first_seen": "2026-01-01",
        "last_seen": "2026-02-01", "posts": 1_234, "images": 12_345 - number, "median_likes": 10.5,
        "mix": (Share("Selfie", 30, 20, 0.625, 1.5, 0.5), Share("Cat", 12, 12, 0.375, 1.0, 1.0)),
        "categorised_posts": 30, "occurrences": 32, "selfie_frequency": 0.625, "selfie_occurrences": 20,
        "missing": (), "pictures": (("Selfie", "Selfie-1"), ("Cat", "Cat-1")),
    }  # fmt: skip
    return User(**{**given, **values})


def habits(**values: Any) -> Habits:
    given: dict[str, Any] = {
        "type": "2: Cosmetic", "attributes": (("Cosmetic", 0.312), ("Food", 0.05)),
        "measures": (("selfie_frequency", 0.625), ("selfie_inertia", 1.5), ("group_tendency", None)),
        "scores": (("R1", 0.83, "3"), ("R7_Food", 0.25, "1")),
    }  # fmt: skip
    return Habits(**{**given, **values})


def interests(**values: Any) -> Interests:
    given: dict[str, Any] = {
        "relation": "posted", "network": "efficientnet_lite0",
        "pictures": (("animals", 1_200), ("food and drink", 31), ("music", 2)),
        "tags": (("food and drink", 9), ("media", 4)), "images": 1_233, "named_tags": 13, "overlap": 1,
        "examples": (("animals", "Cat-1"), ("music", "gone")),
    }  # fmt: skip
    return Interests(**{**given, **values})


def selfies(**values: Any) -> Selfies:
    """A study without figures, since those take a second to draw."""

    def measured(artefact: str, task: str, features: str, value: float | None, **more: Any) -> list[EvaluationRow]:
        said = (artefact, task, features, "cross-validation")
        return [EvaluationRow(*said, "accuracy", value, **more), EvaluationRow(*said, "p_value", 0.0123)]

    given: dict[str, Any] = {
        "run_id": "r6", "started_at": "2026-02-28 10:00",
        "evaluations": [
            *measured("table 2", "R1", "F", 0.8765, low=0.8, high=0.93, n=1_142, baseline=0.5, published=0.8936),
            *measured("table 4", "R4", "F", None, n=8, note="only 8 users"),
            *measured("table 6", "R7_Food", "measures", 0.66, low=0.6, high=0.71, n=90, baseline=0.52),
        ],
        "figures": (), "kinds": {"Outdoor Selfie": ("Selfie-2", "gone")},
    }  # fmt: skip
    return Selfies(**{**given, **values})


def lone_figure(name: str = "Food") -> list[FigureRow]:
    """Figure 3 of two categories: the quickest one to draw."""
    pairs = ((name, 0, name, 1.0), (name, 1, "Pet", 0.25), ("Pet", 0, name, 0.25), ("Pet", 1, "Pet", 1.0))
    return [FigureRow("figure 3", one, float(x), r, n=9, label=other) for one, x, other, r in pairs]


def full(**values: Any) -> Facts:
    """A lake in which every stage has run."""
    given: dict[str, Any] = {
        "label": "demo crawl", "run_id": "r7", "job": "build_profiles", "started_at": "2026-03-01 11:59", "runs": 7,
        "numbers": Numbers(users=12_000, posts=1_234_567, favourites=3, images=2_000, posted_images=9_000, faces=55,
                           with_faces=44, profiles=12_000, profiles_without_category=5, profiles_with_few=1,
                           with_interests=900, with_both_interests=1, mean_overlap=2.345),
        "stages": (
            StageRow("ingest", "done", None, None, False, "2026-03-01 11:59", 12.4, 5_000, 4_990, 10, 0, None,
                     {"unknown_keys": 3}, ("3 keys were unknown",)),
            StageRow("images", "done", None, None, False, "2026-03-01 12:00", 75.0, 2_000, 2_000, 0, 0, 26.66, {}, ()),
        ),
        "refused": (Refused("ingest", "bad_json", 1_010, (("demo/a.jsonl:3", "line 3 is no JSON object"),)),),
        "fit": Fit("f1", "resnet50", 20, 2_000, "2026-03-01 12:01", 0.05, "the silhouette has no decline",
                   (Tried(10, 0.30, 0.31, 9.0, False), Tried(20, 0.33, 0.32, 8.0, True),
                    Tried(30, 0.21, 0.22, 7.0, False))),
        "categories": (category("Selfie", 1_200, kinds=(("Outdoor Selfie", 7),)), category("Cat", 80, reviewed=True)),
        "selfies": selfies(),
        "users": (
            user(1, habits=habits(), interests=interests()),
            user(2, mix=(Share("Cat", 3, 3, 1.0, 1.0, 1.0),), occurrences=3, pictures=(), selfie_occurrences=0,
                 selfie_frequency=0.0, missing=(("behaviour_selfie_inertia", "no selfies"),)),
        ),
    }  # fmt: skip
    return Facts(**{**given, **values})


@functools.cache
def the_page() -> str:
    return render(
        full(selfies=selfies(figures=lone_figure())),
        {name: b"jpeg of " + name.encode() for name in ("Selfie-1", "Selfie-2", "Cat-1")},
    )


def style_of(html: str) -> str:
    found = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert found
    return found.group(1)


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class _Reader(HTMLParser):
    elements: list[Element] = field(default_factory=list)
    path: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        if tag not in VOID:
            self.path.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.path, f"</{tag}> closes nothing"
            opened = self.path.pop()
            assert opened.tag == tag, f"</{tag}> closes <{opened.tag} {opened.attributes}>"

    def handle_data(self, data: str) -> None:
        for element in self.path:
            element.text += data


def read(html: str) -> list[Element]:
    """Every element with its attributes and all text inside it. Fails when tags are not closed in order, an attribute
    or an id occurs twice, or a link goes nowhere."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert not reader.path, f"not closed: {[element.tag for element in reader.path]}"
    ids = [element.attributes["id"] for element in reader.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids)), "an id occurs twice"
    for element in reader.elements:
        target = element.attributes.get("href") or ""
        assert not target.startswith("#") or target[1:] in ids, f"{target} is nowhere"
        for name in ("aria-labelledby", "for"):
            assert element.attributes.get(name, ids[0] if ids else None) in ids
    return reader.elements


def texts(html: str, tag: str) -> list[str]:
    """The text of every element of a tag, white space made single."""
    return [" ".join(element.text.split()) for element in read(html) if element.tag == tag]
