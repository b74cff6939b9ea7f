"""The page: one file, nothing from elsewhere, nothing of a stranger's that acts, and good where there is little."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

import pytest

from profilelake.reports.facts import Category, Facts, Numbers, Refused, Share, StageRow
from profilelake.reports.page import MAX_BYTES, REASONS, render, wanted
from profilelake.tables import TABLES
from profilelake.training.results import EvaluationRow
from tests.reports.pages import (
    EMPTY,
    category,
    full,
    habits,
    interests,
    lone_figure,
    read,
    selfies,
    style_of,
    texts,
    the_page,
    user,
)

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7 * 7 }}</style>&amp;"


def everything_hostile() -> Facts:
    cat = category(
        HOSTILE, proposed=(HOSTILE,), evidence=(HOSTILE,), kinds=((HOSTILE, 3),), exemplars=("a",), reviewed=True
    )
    one = user(
        1, user_id=HOSTILE, name=HOSTILE, mix=(Share(HOSTILE, 3, 3, 1.0, 1.0, 1.0),), pictures=((HOSTILE, "a"),),
        missing=(("behaviour_" + HOSTILE, HOSTILE), ("interests_from_tags", HOSTILE)), first_seen=HOSTILE,
        last_seen=HOSTILE,
        habits=habits(type=HOSTILE, attributes=((HOSTILE, 0.5),), scores=(("R7_" + HOSTILE, 0.5, HOSTILE),)),
        interests=interests(network=HOSTILE, pictures=((HOSTILE, 1),), tags=(), examples=((HOSTILE, "a"),)),
    )  # fmt: skip
    stages = tuple(
        StageRow(name, status, HOSTILE, None, True, "2026-01-01 00:00", 1, 1, 1, 0, 0, None, {HOSTILE: 3}, (HOSTILE,))
        for name, status in ((HOSTILE, "done"), ("images", "skipped"), ("clusters", "failed"))
    )
    fit = full().fit
    assert fit is not None
    studied = selfies(
        run_id=HOSTILE, started_at=HOSTILE, kinds={HOSTILE: ("a",)}, figures=lone_figure(HOSTILE[:40]),
        evaluations=[
            EvaluationRow("table 6", "R7_" + HOSTILE, HOSTILE, HOSTILE, "accuracy", 0.5, 0.4, 0.6, 9, note=HOSTILE)
        ],
    )  # fmt: skip
    return full(
        selfies=studied, label=HOSTILE, run_id=HOSTILE, job=HOSTILE, categories=(cat,), users=(one,), stages=stages,
        refused=(Refused(HOSTILE, HOSTILE, 2, ((HOSTILE, HOSTILE),)),),
        fit=replace(fit, backbone=HOSTILE, warning=HOSTILE, fit_id=HOSTILE),
    )  # fmt: skip


def test_what_strangers_wrote_is_text_and_never_acts() -> None:
    html = render(everything_hostile(), {"a": b"jpeg"})
    elements = read(html)
    plain = read(the_page())
    assert {element.tag for element in elements} <= {element.tag for element in plain}
    assert [element.text for element in elements if element.tag == "script"] == texts_raw(the_page(), "script")
    assert not [name for element in elements for name in element.attributes if name.startswith("on")]
    sources = [str(e.attributes["src"]) for e in elements if e.tag == "img"]
    (drawn,) = [source for source in sources if source.startswith("data:image/png;base64,")]
    assert {*sources} - {drawn} == {"data:image/jpeg;base64,anBlZw=="}
    # and it is all there to read, as it was written
    (name,) = [element for element in elements if element.tag == "th" and element.attributes.get("data-v") == HOSTILE]
    assert name.text == f"{HOSTILE} {HOSTILE}"
    (row,) = interest_rows(html)
    assert row == f"{HOSTILE} from own posts {HOSTILE} 1 of 1,233 pictures that name any {HOSTILE} 1"
    assert html.count(HOSTILE) == 0
    assert "49" not in texts(html, "h1")[0]


def texts_raw(html: str, tag: str) -> list[str]:
    return [element.text for element in read(html) if element.tag == tag]


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = the_page()
    for element in read(html):
        assert element.tag not in {"link", "iframe", "object", "embed", "base", "form"}
        for name in ("src", "href", "srcset", "poster", "action", "background"):
            value = element.attributes.get(name)
            assert value is None or value.startswith(("data:image/jpeg;base64,", "data:image/png;base64,", "#")), (
                element.tag,
                name,
                value,
            )
    assert not re.search(r"url\(|@import|https?:", html)


def test_the_policy_allows_the_pages_own_script_and_no_other() -> None:
    html = the_page()
    (policy,) = [
        element.attributes["content"]
        for element in read(html)
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    (script,) = texts_raw(html, "script")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(rule.split(" ", 1) for rule in str(policy).split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert rules["img-src"] == "data:"


def test_pictures_are_described_and_tables_have_headers() -> None:
    elements = read(the_page())
    pictures = [element for element in elements if element.tag == "img"]
    assert all("alt" in picture.attributes for picture in pictures)
    assert {picture.attributes["alt"] for picture in pictures} == {
        "", "Selfie, example 1", "Selfie, example 2", "Cat, example 1", "Selfie, by this user", "Cat, by this user",
        "Outdoor Selfie, example 1", "animals, in a picture of this user",
        "Which categories do the same users post? Most together: Food and Pet (+0.25). "
        "Least together: Food and Pet (+0.25).",
    }  # fmt: skip
    headers = [element for element in elements if element.tag == "th"]
    assert headers
    assert all(header.attributes.get("scope") in ("col", "row") for header in headers)
    for drawing in (element for element in elements if element.attributes.get("role") == "img"):
        assert drawing.attributes["aria-label"]


def test_both_schemes_and_phones_are_thought_of() -> None:
    style = style_of(the_page())
    assert "prefers-color-scheme: dark" in style
    assert "@media (max-width:" in style
    assert 'name="viewport"' in the_page()


def test_numbers_are_said_with_separators_and_evidence() -> None:
    html = the_page()
    shown = texts(html, "div")
    assert any("1,234,567 posts" in text or "posts 1,234,567" in text for text in shown)
    assert any("1,010" in text for text in texts(html, "td"))
    (selfies, none) = [e.text for e in read(html) if e.attributes.get("data-label") == "selfies"]
    assert " ".join(selfies.split()) == "62% 20 of 32"
    assert " ".join(none.split()) == "0% 0 of 3"
    rows = [e.text for e in read(html) if str(e.attributes.get("id", "")).startswith("user-")]
    assert "few" not in rows[0]
    assert "few" in rows[1]
    assert "Not known: selfie inertia (no selfies)." in " ".join(rows[1].split())
    assert "11,998 users are not shown" in html


def test_the_mix_adds_up_and_names_the_largest_first() -> None:
    html = the_page()
    bars = [e.attributes["aria-label"] for e in read(html) if str(e.attributes.get("class")).startswith("bar")]
    assert bars[0] == "Selfie 94%, Cat 6%"  # 2,400 and 160 occurrences
    assert bars[1] == "Selfie 62%, Cat 38%"
    for widths in re.findall(r'<span class="bar[^>]*>(.*?)</span>', html):
        assert sum(float(part) for part in re.findall(r"flex-grow:([\d.]+)", widths)) == pytest.approx(100, abs=0.05)


def test_a_long_mix_ends_in_one_part_for_the_rest() -> None:
    names = [f"Category {n}" for n in range(30)]
    mix = tuple(Share(name, 1, 1, 1 / 30, 1.0, 1.0) for name in names)
    html = render(full(categories=tuple(map(category, names)), users=(user(1, mix=mix, pictures=()),)), {})
    (row,) = re.findall(r'<tr id="user-1".*?</tr>', html, re.DOTALL)
    assert len(re.findall("<i ", row)) == 13
    assert "other categories 60%" in row
    assert "And 20 more categories." in row


def test_stages_are_told_with_warnings_rates_and_times() -> None:
    html = the_page()
    rows = {text.split()[0]: text for text in texts(html, "tr") if text}
    assert "3 keys were unknown" in rows["ingest"]
    assert "3 unknown keys" in rows["ingest"]
    assert "1 min 15 s26.7" in rows["images"]
    assert "the silhouette has no decline" in html


def test_every_reason_is_explained() -> None:
    (check,) = TABLES["quarantine"].checks.values()
    assert set(REASONS) == set(re.findall(r"'(\w+)'", check))


def test_reviewed_and_proposed_names_can_be_told() -> None:
    cards = {text.split()[0]: text for text in texts(the_page(), "article")}
    assert "proposed" in cards["Selfie"]
    assert "reviewed" in cards["Cat"]
    assert "1,200 different pictures, shown 3,600 times in 2,400 posts by 3 users. Outdoor Selfie 7" in cards["Selfie"]
    assert "1 of 2 names have been reviewed" in the_page()


def test_a_heavy_page_stays_below_its_limit_and_keeps_the_first_pictures() -> None:
    names = [f"Category {n}" for n in range(50)]
    categories = tuple(category(name, exemplars=tuple(f"{name}/{n}" for n in range(24))) for name in names)
    users = tuple(user(n, pictures=tuple(("Cat", f"{n}-{p}") for p in range(6))) for n in range(200))
    facts = full(categories=categories, users=users)
    html = render(facts, dict.fromkeys(wanted(facts), b"x" * 7_000))
    assert len(html.encode()) < MAX_BYTES
    shown = [str(e.attributes["alt"]) for e in read(html) if e.tag == "img" and e.attributes["alt"]]
    for name in names:
        assert f"{name}, example 1" in shown
    assert "Category 0, example 24" not in shown
    assert 'id="user-200"' in html


def test_a_page_that_text_alone_makes_heavy_has_no_pictures() -> None:
    users = tuple(user(n, name="n" * 40_000) for n in range(40))
    html = render(full(users=users), {"Selfie-1": b"jpeg", "Cat-1": b"jpeg"})
    assert "data:image" in html
    users = tuple(user(n, name="n" * 60_000) for n in range(60))
    assert "data:image" not in render(full(users=users), {"Selfie-1": b"jpeg", "Cat-1": b"jpeg"})


def test_an_empty_crawl_says_so() -> None:
    html = render(EMPTY, {})
    read(html)
    assert "There is nobody in this lake yet." in html
    assert "The crawl gave no posts." in " ".join(texts(html, "p"))
    assert "No stage has run on this lake but this report." in html
    assert "Nothing was refused" in html
    assert "<script" not in html


def test_a_lake_without_categories_says_why() -> None:
    bare = replace(user(1), mix=(), images=None, median_likes=None, selfie_frequency=None, pictures=())
    numbers = Numbers(users=1, posts=4, images=3, posted_images=3)
    skipped = StageRow("clusters", "skipped", "3 pictures are too few", None, False, "", 0, 0, 0, 0, 0, None, {}, ())
    html = render(replace(EMPTY, numbers=numbers, users=(bare,), stages=(skipped,)), {})
    read(html)
    assert html.count("<code>clusters</code> was skipped: 3 pictures are too few.") == 3
    assert "There is one. What they post is not counted yet" in html
    assert "the stage profiles has not run on this lake." in html
    assert "not looked for yet" in html


def test_categories_without_counted_posts_say_that() -> None:
    uncounted = tuple(replace(c, posted=0, occurrences=0, users=0) for c in full().categories)
    html = render(full(categories=uncounted, numbers=Numbers(users=3, posts=3), users=()), {})
    read(html)
    assert "<code>behaviour</code> has not run on this lake." in html


def test_a_given_k_has_no_curve() -> None:
    fit = full().fit
    assert fit is not None
    html = render(full(fit=replace(fit, tried=fit.tried[1:2], drift=None)), {})
    assert "<polyline" not in html
    assert "That number was given, not searched for; its mean silhouette is 0.330." in html


@pytest.mark.parametrize("shown", [0, 1])
def test_a_category_whose_pictures_are_gone_is_still_there(shown: int) -> None:
    html = render(full(), {"Cat-1": b"jpeg"} if shown else {})
    assert html.count("None of its pictures can be shown here.") == 2 - shown
    assert "Selfie" in html


def test_wanted_are_exemplars_then_users_pictures_once() -> None:
    categories: tuple[Category, ...] = (category("A", exemplars=("1", "2")), category("B", exemplars=("2", "3")))
    one = user(1, pictures=(("A", "3"), ("B", "4")), interests=interests(examples=(("animals", "4"), ("music", "5"))))
    facts = full(categories=categories, users=(one,))
    assert wanted(facts) == ["1", "2", "3", "Selfie-2", "gone", "4", "5"]
    many = selfies(kinds={"Outdoor Selfie": tuple("abcdefgh")})
    assert wanted(full(categories=(), users=(), selfies=many)) == list("abcdef")


def test_the_study_of_selfies_stands_in_tables_with_the_papers_figures() -> None:
    html = the_page()
    rows = {text.split(" R")[0]: text for text in texts(html, "tr")}
    assert rows["selfie frequency"] == "selfie frequency R1 F 87.6 80.0 to 93.0 50.0 0.012 1,142 89.4"
    assert rows["group selfie tendency"] == "group selfie tendency R4 F – – – 0.012 8 –"
    assert "group selfie tendency, F: only 8 users" in rows
    assert rows["Food"].endswith("measures 66.0 60.0 to 71.0 52.0 0.012 90 –")
    assert [text.split(" Paper 1, ")[1] for text in texts(html, "caption") if "Paper 1" in text] == [
        "table 2", "table 4", "table 6",
    ]  # fmt: skip
    assert "Made on 2026-02-28 10:00 UTC in run r6." in texts(html, "section")[3]
    assert [text.split()[:2] for text in texts(html, "summary") if text.startswith("Figure")] == [["Figure", "3"]]
    (card,) = [e.text for e in read(html) if e.attributes.get("class") == "card kinds"]
    assert "Outdoor Selfie" in card


def test_a_strip_draws_what_the_row_says() -> None:
    rows = re.findall(r'<span class="strip">(.*?)</span>', the_page())
    (strip,) = [row for row in rows if "<s " in row and "<i " in row]
    places = [float(place) for place in re.findall(r":([\d.]+)%", strip)]
    # from 40 on: interval from 80 and up to 93, larger side 50, accuracy 87.65, the paper 89.36
    assert places == pytest.approx([66.7, 11.7, 16.7, 79.4, 82.3], abs=0.06)


def test_an_accuracy_below_the_strip_stands_at_its_end() -> None:
    low = EvaluationRow("table 4", "R4", "F", "cross-validation", "accuracy", 0.2, 0.1, 0.3, 40, 0.5)
    html = render(full(selfies=selfies(evaluations=[low])), {})
    read(html)
    assert '<i style="left:0.0%;right:100.0%">' in html
    assert "20.0" in html


def test_a_lake_without_the_study_says_how_to_make_it() -> None:
    html = render(full(selfies=None), {})
    read(html)
    (section,) = [text for text in texts(html, "section") if text.startswith("How they post selfies")]
    assert "run spark-submit jobs/train_selfie.py with the same configuration" in section
    assert "<caption><b>" not in html


def test_a_users_habits_are_in_the_details() -> None:
    (row,) = [" ".join(e.text.split()) for e in read(the_page()) if e.attributes.get("id") == "user-1"]
    assert "Type2: Cosmetic" in row
    assert "Cares aboutCosmetic 31%, Food 5%" in row
    assert "Selfiesselfie frequency 62%, selfie inertia 1.50" in row
    assert "Probabilityselfie addict 83%, fond of Food 25%" in row
    html = render(full(users=(user(1),)), {})
    assert 'class="habits"' not in html


def interest_rows(html: str) -> list[str]:
    found = re.search(r'<section id="interests".*?</section>', html, re.DOTALL)
    assert found
    return texts(re.sub(r'aria-labelledby="[^"]*"', "", found[0]), "tr")[1:]


def test_interests_from_pictures_stand_beside_those_from_tags() -> None:
    assert interest_rows(the_page()) == [
        "user 1 instagram:1 from own posts animals 1,200 food and drink 31 music 2 of 1,233 pictures that name any "
        "food and drink 9 media 4 of 13 tags that name any 1"
    ]
    common = [e.text for e in read(the_page()) if e.tag == "b" and e.text == "food and drink"]
    assert len(common) == 2
    (intro,) = [text for text in texts(the_page(), "p") if "34 domains" in text]
    assert "as efficientnet_lite0 names it" in intro
    assert intro.endswith(
        "900 profiles have interests, 1 has them from both: on average 2.3 of five domains are the same."
    )


def test_interests_of_one_side_say_why_the_other_is_missing() -> None:
    few = "too few pictures that name a domain"
    one = user(
        1, missing=(("interests_from_pictures", few),),
        interests=interests(relation="favourite", pictures=(), examples=(), overlap=None),
    )  # fmt: skip
    numbers = replace(full().numbers, with_interests=1, mean_overlap=None)
    html = render(full(users=(one,), numbers=numbers), {})
    (row,) = interest_rows(html)
    assert row.startswith(f"user 1 instagram:1 from favourites {few} food and drink 9 media 4")
    assert row.endswith("any –")
    assert "1 profile has interests; none has them from both." in html


def test_without_interests_the_page_says_why() -> None:
    html = render(full(users=(user(1),)), {})
    assert "the stage <code>interests</code> has not run on this lake." in html
