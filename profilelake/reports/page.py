"""The report as one HTML page: facts and thumbnails in, text out. No Spark, no I/O but the packaged templates.

Captions, names, record ids and details come from strangers: Jinja2 escapes every value, and a content security policy
in the page allows its own script by hash, pictures from data URIs, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from profilelake import __version__
from profilelake.behaviour import figures as plots
from profilelake.behaviour import prints
from profilelake.behaviour.prints import Accuracy
from profilelake.reports import figures
from profilelake.reports.facts import FEW, Category, Facts, Habits, Selfies, User
from profilelake.reports.prints import p_value

# A page is mailed and opened on phones.
MAX_BYTES = 8_000_000
# Side of a thumbnail in pixels.
SIDE = 112
# JPEG bytes that the contact sheets, the users' pictures, then those of their interests may take; as base64 they are a
# third more.
_SHEET_BYTES, _USER_BYTES, _INTEREST_BYTES = 2_900_000, 1_500_000, 2_000_000
_HERO = 14
_BAR = 12  # categories in a user's bar; the rest is one part
_LISTED = 10  # categories in a user's list
_KIND_PICTURES = 6  # of a kind of selfie
_STRIP_FROM = 40  # accuracy in per cent at which a drawn strip begins; a smaller one stands there

# What somebody on the positive side of a task is.
_LOVERS = {
    "R1": "selfie addict",
    "R2": "“a series of selfies”",
    "R3": "“it’s all selfies”",
    "R4": "group selfies",
    "R5": "outdoor selfies",
    "R6_holding_something": "selfies holding something",
    "R6_face_mask": "selfies with a face mask",
}
_TABLES = {
    "table 2": "How often, how many, how alone",
    "table 4": "With whom, where, with what",
    "table 6": "What selfie habits tell of a user",
}

STAGES = {
    "ingest": "reads the crawl",
    "images": "looks at each new picture",
    "clusters": "sorts pictures into categories",
    "behaviour": "counts who posts what",
    "interests": "finds the domains that users care about",
    "preference": "learns what users like within a category",
    "score": "applies the trained models",
    "train_selfie": "learns who posts which selfies",
    "evaluate_interests": "compares interests from pictures with those from tags",
    "profiles": "writes one profile a user",
}

REASONS = {
    "bad_json": "The line, or the rest of a damaged file, is not readable JSON.",
    "missing_field": "A required value is absent (post_id, user_id or posted_at), or a post has no metadata.",
    "bad_timestamp": "The time lacks its offset, lies outside 1970-2100, or is no time at all.",
    "bad_value": "A value has a type or content that its field cannot have.",
    "image_missing": "The record names a picture that the crawl does not have.",
    "path_outside_crawl": "A path or link leads out of the crawl's folder, so it was not opened.",
    "not_an_image": "The file is empty or is something else than a picture.",
    "image_truncated": "The picture's file ends too early to be decoded whole.",
    "image_too_many_bytes": "The file is larger than crawl.max_image_bytes allows.",
    "image_too_many_pixels": "The picture has more pixels than crawl.max_image_pixels allows.",
    "unsupported_format": "A kind of picture that the networks' decoder does not read, such as AVIF or HEIC.",
    "image_failed": "The picture's bytes look whole, but decoding them failed.",
    "image_crashed": "Decoding the picture ended the worker that tried it.",
    "image_timeout": "Decoding the picture took too long.",
}


def render(facts: Facts, thumbnails: Mapping[str, bytes]) -> str:
    """The page.

    Args:
        facts: what it says.
        thumbnails: image_id -> JPEG of `SIDE` x `SIDE` pixels. A picture that is not in it is left out; so are the
            hindmost of each category, then of the users, where they would make the page heavier than `MAX_BYTES`.
    """
    drawn = _plots(facts.selfies) if facts.selfies else []
    for scale in (1.0, 0.6, 0.3, 0.0):
        page = _render(facts, thumbnails, drawn, scale)
        if len(page.encode("utf-8")) < MAX_BYTES:
            break
    return page


def wanted(facts: Facts) -> list[str]:
    """Ids of the pictures that the page can show."""
    sheets = (image_id for category in facts.categories for image_id in category.exemplars)
    kinds = facts.selfies.kinds.values() if facts.selfies else ()
    selfies = (image_id for ids in kinds for image_id in ids[:_KIND_PICTURES])
    own = (image_id for user in facts.users for _, image_id in user.pictures)
    interests = (image_id for user in facts.users if user.interests for _, image_id in user.interests.examples)
    return list(dict.fromkeys([*sheets, *selfies, *own, *interests]))


@dataclass(frozen=True)
class _Plot:
    """A figure of paper 1: its name, its question, what it shows in words, its data URI, its size."""

    name: str
    title: str
    finding: str
    src: str
    width: int
    height: int


def _plots(selfies: Selfies) -> list[_Plot]:
    held = {row.figure for row in selfies.figures}
    made = []
    for name in plots.FIGURES:
        if name in held:
            png = plots.save(plots.draw(name, selfies.figures), "png")
            width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
            said = plots.finding(name, selfies.figures)
            made.append(_Plot(name, plots.TITLES[name], said, _uri(png, "png"), width, height))
    return made


@dataclass(frozen=True)
class _Part:
    """A part of a bar: a category, its share of 1, its CSS class ("" for the rest), its card's number."""

    name: str
    share: float
    look: str
    number: int = 0


def _render(facts: Facts, thumbnails: Mapping[str, bytes], drawn: Sequence[_Plot], scale: float) -> str:
    paints = figures.paints(_by_importance(facts))
    looks = list(dict.fromkeys(paints.values()))
    look = {name: f"c{looks.index(paint)}" for name, paint in paints.items()}
    sheets, heroes = _sheets(facts.categories, thumbnails, int(_SHEET_BYTES * scale))
    pictures = _user_pictures(((u.user_id, u.pictures) for u in facts.users), thumbnails, int(_USER_BYTES * scale))
    interested = [user for user in facts.users if user.interests]
    examples = _user_pictures(
        ((user.user_id, user.interests.examples) for user in interested if user.interests),
        thumbnails,
        int(_INTEREST_BYTES * scale),
    )
    kinds = _kinds(facts.selfies, thumbnails) if scale else {}
    mix = _mix(facts.categories, look)
    script = _ENVIRONMENT.get_template("report.js.j2").render()
    style = _ENVIRONMENT.get_template("report.css.j2").render(looks=looks)
    wide, narrow = (figures.curve(facts.fit, *size) if facts.fit else None for size in ((1030, 340), (380, 270)))
    return _ENVIRONMENT.get_template("report.html.j2").render(
        facts=facts,
        numbers=facts.numbers,
        categorised=sum(category.images for category in facts.categories),
        quarantined=sum(refused.count for refused in facts.refused),
        lead=_lead(facts, mix),
        hero=heroes,
        mix=mix,
        mix_bar=_cut(mix, 2 * len(figures.PALETTE)),
        mix_text=_sentence(mix[:_BAR]),
        mix_of=f"the posts of all {_plural(_posters(facts), 'user', 'users')}",
        look=look,
        sheets=sheets,
        accuracies=_accuracies(facts.selfies),
        plots=drawn,
        kinds=kinds,
        strip_from=_STRIP_FROM,
        side=SIDE,
        rows=[_row(user, look, pictures) for user in facts.users],
        interests=[_interest_row(user, examples) for user in interested],
        interests_text=_interests_text(facts),
        few=FEW,
        few_shown=any(0 < user.occurrences < FEW for user in facts.users),
        users_text=_users_text(facts),
        not_shown=facts.numbers.users - len(facts.users),
        review_text=_review_text(facts.categories),
        fit_text=_fit_text(facts),
        curve_text=_curve_text(facts),
        curve_wide=wide,
        curve_narrow=narrow,
        why_not=lambda stage: _why_not(facts, stage),
        stages=sorted(facts.stages, key=lambda row: [*STAGES, row.stage].index(row.stage)),
        stages_say=STAGES,
        reasons_say=REASONS,
        version=__version__,
        # both are ours, none of a crawl's values is in them
        style=Markup(style),
        script=Markup(script),
        script_sha256=base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii"),
    )


def _by_importance(facts: Facts) -> list[str]:
    """Categories as colours are given: those of the current fit, then any that users' rows still hold."""
    own = [c.name for c in sorted(facts.categories, key=lambda c: (-c.occurrences, -c.images, c.name))]
    others = sorted({share.category for user in facts.users for share in user.mix} - set(own))
    return own + others


def _uri(picture: bytes, kind: str = "jpeg") -> str:
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")


def _kinds(selfies: Selfies | None, thumbnails: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Data URIs of a few pictures by kind of selfie."""
    return {
        kind: [_uri(thumbnails[image_id]) for image_id in ids[:_KIND_PICTURES] if image_id in thumbnails]
        for kind, ids in (selfies.kinds if selfies else {}).items()
    }


def _accuracies(selfies: Selfies | None) -> list[tuple[str, str, list[Accuracy]]]:
    """(table, heading, rows) of the tables that were measured."""
    found = [
        (name, heading, prints.accuracies(selfies.evaluations if selfies else (), name))
        for name, heading in _TABLES.items()
    ]
    return [table for table in found if table[2]]


def _sheets(
    categories: Sequence[Category], thumbnails: Mapping[str, bytes], budget: int
) -> tuple[dict[str, list[str]], list[str]]:
    """Each category's pictures, and the first one of the largest categories. The first picture of every category is
    taken before the second of any, so a heavy page loses the hindmost."""
    kept: dict[str, list[str]] = {category.name: [] for category in categories}
    heroes: list[str] = []
    longest = max((len(category.exemplars) for category in categories), default=0)
    for place in range(longest):
        for category in categories:
            jpeg = thumbnails.get(category.exemplars[place]) if place < len(category.exemplars) else None
            if jpeg is None or len(jpeg) > budget:
                continue
            budget -= len(jpeg)
            kept[category.name].append(_uri(jpeg))
    for category in categories:
        if kept[category.name] and len(heroes) < _HERO:
            heroes.append(kept[category.name][0])
    return kept, heroes


def _user_pictures(
    users: Iterable[tuple[str, Sequence[tuple[str, str]]]], thumbnails: Mapping[str, bytes], budget: int
) -> dict[str, list[tuple[str, str]]]:
    """By user id (what, data URI) of the pictures, from the first user down until the budget is spent.

    Args:
        users: user id, and (what, image id) of each picture.
    """
    kept: dict[str, list[tuple[str, str]]] = {}
    for user_id, pictures in users:
        found = [(what, thumbnails[image_id]) for what, image_id in pictures if image_id in thumbnails]
        weight = sum(len(jpeg) for _, jpeg in found)
        if weight > budget:
            break
        budget -= weight
        kept[user_id] = [(what, _uri(jpeg)) for what, jpeg in found]
    return kept


def _mix(categories: Sequence[Category], look: Mapping[str, str]) -> list[_Part]:
    """Categories by occurrence over all users; empty until posts have been counted."""
    total = sum(category.occurrences for category in categories)
    parts = [
        _Part(category.name, category.occurrences / total, look[category.name], number)
        for number, category in enumerate(categories, start=1)
        if category.occurrences
    ]
    return sorted(parts, key=lambda part: (-part.share, part.name))


def _cut(parts: Sequence[_Part], most: int) -> list[_Part]:
    """The first parts, the others as one."""
    rest = sum(part.share for part in parts[most:])
    return [*parts[:most], *([_Part("other categories", rest, "")] if rest > 0 else [])]


@dataclass(frozen=True)
class _Row:
    """A user's row: the bar, its text, the text below it, the list, the pictures, what the filter looks through."""

    bar: Sequence[_Part]
    text: str
    top: str
    mix: Sequence[Any]
    pictures: Sequence[tuple[str, str]]
    find: str
    missing: Sequence[tuple[str, str]]
    habits: Sequence[tuple[str, str]]


def _row(user: User, look: Mapping[str, str], pictures: Mapping[str, list[tuple[str, str]]]) -> _Row:
    parts = [_Part(share.category, share.frequency, look[share.category]) for share in user.mix]
    names = [user.name or "", user.user_id, *(share.category for share in user.mix[:_LISTED])]
    return _Row(
        bar=_cut(parts, _BAR),
        text=_sentence(parts[:_BAR]),
        top=_sentence(parts[:3]),
        mix=user.mix[:_LISTED],
        pictures=pictures.get(user.user_id, ()),
        find=" ".join(names).lower(),
        missing=[
            (column.removeprefix("behaviour_").replace("_", " "), reason)
            for column, reason in user.missing
            if column.startswith("behaviour_") or column == "median_likes"
        ],
        habits=_habits_said(user.habits) if user.habits else (),
    )


def _habits_said(habits: Habits) -> list[tuple[str, str]]:
    """(what, how much) for a user's details; what is unknown is left out."""
    shares = ", ".join(f"{name} {_percent(value)}" for name, value in habits.attributes)
    known = [(plots.MEASURES[name], value) for name, value in habits.measures if value is not None]
    measured = ", ".join(
        f"{name} {f'{value:.2f}' if name == plots.MEASURES['selfie_inertia'] else _percent(value)}"
        for name, value in known
    )
    likely = ", ".join(f"{_lover(task)} {_percent(value)}" for task, value, _ in habits.scores)
    said = (("Type", habits.type or ""), ("Cares about", shares), ("Selfies", measured), ("Probability", likely))
    return [(what, text) for what, text in said if text]


def _lover(task: str) -> str:
    """What somebody on the positive side of a task is called."""
    return _LOVERS.get(task, f"fond of {task.removeprefix('R7_')}")


@dataclass(frozen=True)
class _Domain:
    """A domain of a user: how many pictures or tags name it, whether it is in the other five too."""

    name: str
    occurrences: int
    common: bool


@dataclass(frozen=True)
class _InterestRow:
    """A user's interests: the domains of pictures and of tags, or why there are none, and pictures of the former."""

    name: str
    user_id: str
    posts: str
    pictures: Sequence[_Domain]
    tags: Sequence[_Domain]
    no_pictures: str
    no_tags: str
    images: int | None
    named_tags: int | None
    overlap: int | None
    examples: Sequence[tuple[str, str]]


def _interest_row(user: User, examples: Mapping[str, list[tuple[str, str]]]) -> _InterestRow:
    of = user.interests
    assert of is not None
    why = dict(user.missing)
    common = {domain for domain, _ in of.pictures} & {domain for domain, _ in of.tags}
    pictures, tags = (
        [_Domain(domain, occurrences, domain in common) for domain, occurrences in found]
        for found in (of.pictures, of.tags)
    )
    return _InterestRow(
        name=user.name or user.user_id,
        user_id=user.user_id,
        posts="favourites" if of.relation == "favourite" else "own posts",
        pictures=pictures,
        tags=tags,
        no_pictures=why.get("interests_from_pictures", ""),
        no_tags=why.get("interests_from_tags", ""),
        images=of.images,
        named_tags=of.named_tags,
        overlap=of.overlap,
        examples=examples.get(user.user_id, ()),
    )


def _interests_text(facts: Facts) -> str:
    numbers = facts.numbers
    networks = sorted({u.interests.network for u in facts.users if u.interests and u.interests.network})
    named = f", as {' and '.join(networks)} names it" if networks else ""
    text = (
        f"What is in a user's pictures{named}, and what the tags say, by the 34 domains of paper 2: the five of each "
        f"that occur most, with how many pictures or tags name them. "
        f"{_plural(numbers.with_interests, 'profile has', 'profiles have')} interests"
    )
    if numbers.mean_overlap is None:
        return f"{text}; none has them from both."
    both = _plural(numbers.with_both_interests, "has", "have")
    return f"{text}, {both} them from both: on average {numbers.mean_overlap:.1f} of five domains are the same."


def _sentence(parts: Iterable[_Part]) -> str:
    return ", ".join(f"{part.name} {_percent(part.share)}" for part in parts)


def _posters(facts: Facts) -> int:
    numbers = facts.numbers
    return numbers.profiles - numbers.profiles_without_category if numbers.profiles else numbers.users


def _lead(facts: Facts, mix: Sequence[_Part]) -> Markup:
    numbers = facts.numbers
    text = Markup("{} wrote {} with {}.").format(
        _bold(numbers.users, "user", "users"),
        _bold(numbers.posts, "post", "posts"),
        _bold(numbers.images, "different picture", "different pictures"),
    )
    if mix:
        names = [Markup("<b>{}</b>").format(part.name) for part in mix[:3]]
        listed = Markup(", ").join(names[:-1]) + Markup(" and ") + names[-1] if len(names) > 1 else names[0]
        text += Markup(" Mostly they show {}.").format(listed)
    return text


def _bold(count: int, one: str, many: str) -> Markup:
    return Markup("<b>{}</b> {}").format(f"{count:,}", one if count == 1 else many)


def _users_text(facts: Facts) -> str:
    shown, users = len(facts.users), facts.numbers.users
    if not facts.numbers.profiles:
        return (
            f"{_who(shown, users, 'posts')} What they post is not counted yet: the stage profiles "
            f"{_why_not(facts, 'profiles')}"
        )
    return (
        f"{_who(shown, users, 'pictures')} Open a row to see one typical picture of each category and what the shares "
        "rest on. Selfies are the share of all occurrences; likes are a post's median."
    )


def _who(shown: int, users: int, most: str) -> str:
    if users == 1:
        return "There is one."
    which = f"{shown:,} of {users:,} users" if shown < users else f"All {users:,} users"
    return f"{which}, those with the most {most} first."


def _review_text(categories: Sequence[Category]) -> str:
    reviewed = sum(category.reviewed for category in categories)
    if reviewed == len(categories):
        return "A person has reviewed every name."
    before = "No name has" if not reviewed else f"{reviewed:,} of {len(categories):,} names have"
    return (
        f"{before} been reviewed by a person; a proposed name is what the pictures' labels, faces and shapes speak for."
        " Change names with jobs/review_categories.py."
    )


def _fit_text(facts: Facts) -> str:
    fit = facts.fit
    if fit is None:
        return ""
    made = (
        f"The current categories were made on {fit.fitted_at} UTC from {_plural(fit.images, 'picture', 'pictures')}, "
        f"as {fit.backbone} sees them, in {_plural(fit.k, 'cluster', 'clusters')}; clusters of one name are one "
        "category."
    )
    if len(fit.tried) > 1:
        made += (
            f" {_plural(len(fit.tried), 'number', 'numbers')} of clusters, {fit.tried[0].k} to {fit.tried[-1].k}, were "
            "tried: the one kept is the largest before the silhouette's marked decline."
        )
    elif fit.tried:
        made += f" That number was given, not searched for; its mean silhouette is {fit.tried[0].silhouette:.3f}."
    if fit.drift is not None:
        nearer = "farther from" if fit.drift >= 0 else "nearer to"
        made += f" Pictures that came since lie {_percent(abs(fit.drift))} {nearer} their category's middle."
    return made


def _curve_text(facts: Facts) -> str:
    if facts.fit is None or len(facts.fit.tried) < 2:
        return ""
    tried = facts.fit.tried
    best = max(tried, key=lambda point: point.smoothed)
    chosen = next((f", {point.k} was chosen with {point.smoothed:.3f}" for point in tried if point.chosen), "")
    return (
        f"Mean silhouette against the number of clusters, {tried[0].k} to {tried[-1].k}: the smoothed curve is highest "
        f"at {best.k} with {best.smoothed:.3f}{chosen}. The numbers are in the table below."
    )


def _why_not(facts: Facts, stage: str) -> str:
    """How a sentence "the stage ... " ends when its results aren't there."""
    for row in facts.stages:
        if row.stage == stage:
            if row.status == "skipped":
                return f"was skipped: {(row.reason or 'no reason given').rstrip('.')}."
            if row.status == "done":
                return "has run, but found nothing to work on."
            return f"did not finish ({row.status}): {(row.error or row.reason or 'no reason given').rstrip('.')}."
    return "has not run on this lake."


def _place(share: float) -> str:
    """Where a share stands on a strip that begins at `_STRIP_FROM`, in per cent of the strip."""
    return f"{max(0.0, min(100.0, 100 * (100 * share - _STRIP_FROM) / (100 - _STRIP_FROM))):.1f}"


def _of_100(share: float | None) -> str:
    """A share with one decimal, as tables of accuracies give it."""
    return "–" if share is None else f"{100 * share:.1f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,}"


def _likes(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _percent(share: float) -> str:
    if 0 < share < 0.01:
        return "<1%"
    if 0.99 < share < 1:
        return ">99%"
    return f"{share:.0%}"


def _plural(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _seconds(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{minutes} min {rest} s" if hours == 0 else f"{hours} h {minutes} min"


def _short(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("profilelake.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "n": _number,
        "likes": _likes,
        "percent": _percent,
        "of_100": _of_100,
        "p": p_value,
        "place": _place,
        "count": _plural,
        "seconds": _seconds,
        "short": _short,
    }
    return environment


_ENVIRONMENT = _environment()
