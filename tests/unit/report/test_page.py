import base64
import math
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pytest

from medlstm.evaluation.subgroups import SubgroupScore
from medlstm.report import plots
from medlstm.report.content import (
    GroupForecast,
    LossPoint,
    ModelCard,
    NightError,
    NightReport,
    NothingScored,
    RuleRow,
    TableCounts,
)
from medlstm.report.group_table import group_table
from medlstm.report.page import render_report
from medlstm.report.warning_kinds import by_kind
from medlstm.sequences.row_ledger import Ledger

VOID = {"meta", "wbr", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Collects what a test asks of a page: its text, its tables' cells, its images, and unbalanced tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.ids: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[list[str]] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append((tag, named))
        if named.get("id"):
            self.ids.append(str(named["id"]))
        if tag == "img":
            self.images.append(named)
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words.append(data)
        if self.open and any(tag in self.open for tag in ("td", "th")):
            self.cells[-1][-1] += data.strip()

    def row(self, first: str) -> list[str]:
        return next(row for row in self.cells if row and row[0] == first)


@pytest.fixture(scope="module")
def full() -> NightReport:
    generator = np.random.default_rng(0)
    actual = generator.lognormal(1, 0.9, 800)
    predicted = actual * generator.lognormal(0, 0.5, 800)
    return NightReport(
        hospital_timezone="Europe/Berlin",
        as_of=date(2026, 11, 22),
        cutoff=datetime(2026, 11, 22, 23, tzinfo=UTC),
        status="done",
        warnings=("3 files arrived late.",),
        tables=(TableCounts("stays", 100, 90, 8, 2), TableCounts("observations", 12000, 11500, 400, 100)),
        rules=(
            RuleRow("observations", "heart_rate_range", "quarantine", 400, "Heart rate lies within 0 and 300."),
            RuleRow("stays", "admitted_at_known", "quarantine", 8, "A stay has an admission time."),
            RuleRow("stays", "age_range", "warn", 0, "Age lies within 0 and 120."),
        ),
        unreadable_files=(("labs_2026-11-22.csv", "not UTF-8"),),
        scored_stays=143,
        group_column="ward",
        groups=(
            GroupForecast("cardiology", 60, 9, 20, 28, 3.4),
            GroupForecast("surgery", 70, 10, 25, 35, 4.123),
            GroupForecast("burns", 13, 2, 6, 7, 9.0),
        ),
        nights=(
            NightError(date(2026, 11, 21), 10, 4.0, 5.0, None),
            NightError(date(2026, 11, 20), 30, 2.0, 3.0, 0.8),
        ),
        pairs=tuple(zip(predicted.tolist(), actual.tolist(), strict=True)),
        interval_coverage=0.9,
        losses=tuple(LossPoint(epoch, 1 / epoch, 1.2 / epoch + epoch / 50) for epoch in range(1, 15)),
        model=ModelCard("v7", date(2026, 11, 18), "lstm 2 x 64", "smooth_log", 61234, 2500, 150, 1.9, 2.6, 0.9, False,
                        "", 310, 1.94, 0.891, (SubgroupScore("ward", "burns", 40, 160, 3.21, 0.823),
                                               SubgroupScore("age", "80 years and more", 4, 9, 1.5, 0.999)),
                        leaks=("disease was written down <late>",)),
        top_variables=(("heart_rate", 0.61), ("age", 0.4)),
        min_group_size=5,
        observations=Ledger(11500, {"in_a_bin": 8000, "overwritten": 3400, "unknown_stay": 100, "not_read": 0}, {},
                            appeared_late=41, moved=3),
        left_out=(("labs*: by keep and drop", 1234),),
    )


@pytest.fixture(scope="module")
def html(full: NightReport) -> str:
    return render_report(full)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def empty(full: NightReport) -> NightReport:
    return replace(full, warnings=(), tables=(), rules=(), unreadable_files=(), scored_stays=0, group_column=None,
                   groups=(), nights=(), pairs=(), losses=(), model=None, top_variables=())


def test_the_model_is_shown_by_group_of_patients_without_small_ones(page: Page) -> None:
    assert page.row("ward: burns") == ["ward: burns", "40", "3.21", "82.3 %"]
    assert not any(row and row[0].startswith("age:") for row in page.cells)


def test_the_ways_of_all_observations_are_shown(full: NightReport, page: Page) -> None:
    assert page.row("in a bin: what a model can see")[1:] == ["8,000", "69.6 %"]
    assert page.row("of a stay that is not known")[1:] == ["100", "0.87 %"]
    assert not any(row and row[0].startswith("arrived before") for row in page.cells)
    assert page.row("labs*: by keep and drop") == ["labs*: by keep and drop", "1,234"]
    assert "No observation came as far as the sequences" in render_report(replace(full, observations=None))


def test_page_loads_nothing_from_outside(html: str, page: Page) -> None:
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    policies = [named["content"] for tag, named in page.tags if named.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_page_is_well_formed_accessible_and_small(html: str, page: Page) -> None:
    assert page.unbalanced == []
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert ("html", {"lang": "en"}) in page.tags
    assert len(page.images) == 5
    assert all(image["alt"] and len(image["alt"]) > 20 for image in page.images)
    tags = [tag for tag, _ in page.tags]
    assert tags.count("caption") == tags.count("table")
    labels = [str(named["aria-labelledby"]) for _, named in page.tags if named.get("aria-labelledby")]
    assert set(labels) <= set(page.ids)
    assert all(named.get("scope") for tag, named in page.tags if tag == "th")
    assert len(html.encode()) < 600_000


def test_figures_carry_no_addresses_scripts_or_dates_and_scale(page: Page) -> None:
    for image in page.images:
        kind, content = str(image["src"]).split(",", 1)
        svg = base64.b64decode(content).decode()
        assert kind == "data:image/svg+xml;base64"
        assert "viewBox=" in svg
        assert "dc:date" not in svg
        assert set(re.findall(r"href=\"(.)", svg)) <= {"#"}


def test_equal_input_gives_equal_bytes(full: NightReport, html: str) -> None:
    assert render_report(full) == html


def test_headline_counts_patients_and_departures_in_hospital_time(page: Page) -> None:
    assert "143 patients in a bed scored; about 21 expected to leave within 24 h." in page.text
    assert "Known as of 23 November 2026, 00:00 (Europe/Berlin)." in page.text


def test_earlier_nights_are_weighted_by_their_stays(page: Page) -> None:
    assert ("No night is settled yet: on each more than one in twenty of the stays are still open. On 40 predictions "
            "whose stays have since ended the mean error was 2.50 days , against 3.50 days" in page.text)
    assert "The 90 % intervals held the actual remaining stay for 80 % of 30 predictions." in page.text
    assert "no better" not in page.text


def test_settled_nights_are_told_apart_from_those_that_will_still_move(full: NightReport) -> None:
    settled = NightError(date(2026, 11, 10), 60, 2.25, 3.0, 0.9, 2.8, 2.5, settled=True)
    page = Page(render_report(replace(full, nights=(*full.nights, settled))))
    assert ("On the 1 settled night (60 predictions, all but one in twenty of whose stays have ended) the mean error "
            "was 2.25 days , against 2.80 days" in page.text)
    assert "had promised 2.50 days ." in page.text
    assert page.row("2026-11-10")[1:4] == ["60", "2.25", "2.50"]
    assert page.row("2026-11-20, unsettled")[1:3] == ["30", "2.00"]


def test_the_page_says_what_the_promise_is_made_of(full: NightReport) -> None:
    assert full.model is not None
    told = replace(full, model=replace(full.model, promised_mae_days=2.22, promise_nights=31, promise_stays=420))
    text = Page(render_report(told)).text
    assert "2.22 days, that of the last 31 settled nights before its training (420 stays)" in text
    untold = replace(full, model=replace(full.model, promised_mae_days=2.22))
    assert "2.22 days, on stays that it had not trained on" in Page(render_report(untold)).text


def test_a_model_worse_than_the_median_is_called_so(full: NightReport) -> None:
    worse = replace(full, nights=(NightError(date(2026, 11, 20), 30, 3.1, 3.0, 0.8),))
    assert "no better than always predicting the median" in Page(render_report(worse)).text


def test_a_small_count_is_hidden_and_cannot_be_worked_out_from_the_total(page: Page) -> None:
    assert page.row("burns") == ["burns", "13", "<5", "6", "7", "9.0"]
    assert page.row("cardiology") == ["cardiology", "60", "5+", "20", "28", "3.4"]
    assert page.row("surgery") == ["surgery", "70", "10", "25", "35", "4.1"]
    assert page.row("Total") == ["Total", "143", "21", "51", "70", ""]


def test_a_small_group_shows_neither_its_count_nor_its_median(full: NightReport) -> None:
    groups = (GroupForecast("a", 3, 1, 2, 3, 1.5), GroupForecast("b", 4, 0, 1, 4, 7.25), GroupForecast("", 0, 0, 0, 0,
                                                                                                       math.nan))
    page = Page(render_report(replace(full, groups=groups, scored_stays=7)))
    assert page.row("a") == ["a", "<5", "<5", "<5", "<5", "–"]
    assert page.row("b") == ["b", "<5", "0", "<5", "<5", "–"]
    assert page.row("not recorded") == ["not recorded", "0", "0", "0", "0", "–"]
    assert page.row("Total")[:3] == ["Total", "7", "<5"]
    assert "7 patients in a bed scored; fewer than 5 expected to leave" in page.text


def test_a_ward_of_one_patient_is_not_told_by_the_tile_nor_by_any_other_count(full: NightReport) -> None:
    alone = replace(full, groups=(GroupForecast("a", 1, 0, 1, 1, 1.5),), scored_stays=1, pairs=full.pairs[:3],
                    nights=(NightError(date(2026, 11, 20), 3, 2.17, 3.0, 0.8),))
    page = Page(render_report(alone))
    assert page.row("a") == ["a", "<5", "0", "<5", "<5", "–"]
    assert page.row("Total")[1] == "<5"
    assert "Fewer than 5 patients in a bed scored" in page.text
    assert "<5 patients in a bed" in page.text
    assert not re.search(r"\b1 patient", page.text)
    assert "2.17" not in page.text
    assert "Too few stays scored on earlier nights have ended yet" in page.text
    assert not {"pairs", "variables", "errors"} & {str(image["alt"]).split()[0] for image in page.images}
    assert len(page.images) == 2


def test_a_night_of_few_ended_stays_counts_in_the_mean_alone(full: NightReport) -> None:
    nights = (NightError(date(2026, 11, 19), 3, 9.99, 9.0, 0.8), *full.nights)
    page = Page(render_report(replace(full, nights=nights)))
    assert "On 43 predictions" in page.text
    assert "9.99" not in page.text
    assert "1 night of which fewer than 5 stays have ended is part of the mean" in page.text


@pytest.mark.parametrize(
    ("beds", "shown", "total"),
    [
        ((4, 4), ["<5", "<5"], "5+"),  # 8 would tell both
        ((1, 1, 12), ["<5", "<5", "5+"], "14"),  # 2 would tell both
        ((1, 5), ["<5", "5+"], "5+"),  # 6 is one and five, the least that they can be
        ((1, 5, 9), ["<5", "5+", "5+"], "15"),
        ((2, 7), ["<5", "5+"], "9"),
        ((3, 4), ["<5", "<5"], "7"),
        ((2, 2), ["<5", "<5"], "<5"),
    ],
)
def test_no_hidden_count_follows_from_those_that_are_shown(beds, shown, total) -> None:
    groups = tuple(GroupForecast(str(place), beds[place], 0, 0, 0, 1.0) for place in range(len(beds)))
    table = group_table(groups, 5)
    assert [row.counts[0] for row in table.rows] == shown
    assert table.patients == total


def test_the_page_says_where_the_list_by_patient_is(page: Page) -> None:
    assert "lake/predictions/as_of=2026-11-22" in page.text
    assert "medlstm export meds FOLDER --as-of 2026-11-22" in page.text


def test_bounds_that_too_few_ended_stays_could_not_tell_are_named(full: NightReport, page: Page) -> None:
    assert "upper bound" not in page.text
    text = Page(render_report(replace(full, stays_without_upper_bound=143))).text
    assert "Too few ended stays for an upper bound:" in text
    some = Page(render_report(replace(full, stays_without_upper_bound=40))).text
    assert "Too few ended stays for an upper bound for some of them:" in some


def test_a_night_that_scored_nobody_says_why_in_its_first_line(full: NightReport) -> None:
    nothing = NothingScored("input", "no stay is known", "Look at the mapping.")
    page = Page(render_report(replace(empty(full), nothing=nothing)))
    after_title = page.text.split("Night of 22 November 2026", 2)[2]
    assert after_title.strip().startswith("Nobody was scored: no stay is known. Look at the mapping.")


def test_a_group_size_of_one_hides_nothing(full: NightReport) -> None:
    page = Page(render_report(replace(full, min_group_size=1)))
    assert page.row("burns") == ["burns", "13", "2", "6", "7", "9.0"]
    assert "shown as <" not in page.text


def test_rows_that_do_not_add_up_are_called_out(full: NightReport, page: Page) -> None:
    assert "do not add up" not in page.text
    broken = Page(render_report(replace(full, tables=(TableCounts("stays", 100, 90, 8, 1),))))
    assert "The rows of stays do not add up: 1 row is unaccounted for." in broken.text


def test_rules_that_caught_rows_are_listed_and_the_others_counted(page: Page) -> None:
    assert page.row("heart_rate_range")[1:4] == ["400", "observations", "quarantine"]
    assert "1 other rule caught none." in page.text
    assert not [row for row in page.cells if row and row[0] == "age_range"]
    assert page.row("labs_2026-11-22.csv")[1] == "not UTF-8"


def test_a_night_without_data_says_why_and_draws_nothing(full: NightReport) -> None:
    page = Page(render_report(empty(full)))
    assert page.images == []
    assert page.unbalanced == []
    for sentence in (
        "No patient in a bed was scored this night.",
        "Nothing to warn about this night.",
        "No stay scored on an earlier night has ended yet.",
        "No contributions of variables were computed this night.",
        "No model has been trained yet",
        "No rows arrived for this night.",
        "No contract rule was checked this night.",
        "No file was unreadable.",
    ):
        assert sentence in page.text


def test_text_from_outside_is_escaped(full: NightReport) -> None:
    nasty = "<script>alert(1)</script> $x^$"
    report = replace(full, warnings=(nasty,), status=nasty, group_column=nasty, unreadable_files=((nasty, nasty),),
                     rules=(RuleRow(nasty, nasty, "quarantine", 3, nasty),), top_variables=((nasty, 1.0),))
    html = render_report(report)
    assert "<script" not in html
    assert Page(html).unbalanced == []


def test_values_that_are_not_finite_are_left_out_and_do_not_break_the_page(full: NightReport) -> None:
    report = replace(
        full,
        nights=(NightError(date(2026, 11, 20), 0, math.nan, math.nan, None), *full.nights),
        pairs=((math.nan, 1.0), (1.0, 2.0)),
        losses=(LossPoint(1, math.nan, math.nan),),
        top_variables=(("age", math.nan), ("bmi", 0.2)),
        min_group_size=1,
    )
    page = Page(render_report(report))
    assert "On 40 predictions" in page.text
    assert "(1 prediction)" in page.text
    assert "nan" not in page.text


def test_a_stale_model_is_marked(full: NightReport, page: Page) -> None:
    assert full.model is not None
    assert "Stale:" not in page.text
    assert "Stale:" in Page(render_report(replace(full, model=replace(full.model, stale=True)))).text


def test_few_points_are_drawn_each_and_many_as_cells() -> None:
    def svg(count: int) -> str:
        pairs = [(place % 23 + 0.5, place % 17 + 0.5) for place in range(count)]
        return base64.b64decode(plots.predicted_against_actual(pairs).split(",", 1)[1]).decode()

    assert svg(200).count("<use") > 200
    assert "PathCollection" in svg(200)
    assert "PathCollection" not in svg(5000)


def test_a_year_of_nights_and_many_pairs_stay_small(full: NightReport) -> None:
    start = date(2025, 11, 22)
    nights = tuple(NightError(start + timedelta(days=day), 20, 2 + day % 3 / 5, 3.0, 0.9) for day in range(365))
    variables = tuple((f"variable_with_a_rather_long_name_that_goes_on_and_on_{place}", 1 / (place + 1))
                      for place in range(40))
    html = render_report(replace(full, nights=nights, pairs=full.pairs * 20, top_variables=variables))
    assert len(html.encode()) < 600_000


def test_warnings_that_differ_in_numbers_alone_are_one_line_with_how_often_and_when() -> None:
    warnings = [f"2026-03-{day:02}: labs_{day}.csv: {day} rows have no row in patients.csv" for day in range(1, 31)]
    assert by_kind(["stale", *warnings, "2026-03-30: the landing folder is empty"]) == [
        "stale",
        f"30 times on 30 dates from 2026-03-01 to 2026-03-30; the last one: {warnings[-1]}",
        "2026-03-30: the landing folder is empty",
    ]


def test_what_came_late_and_what_is_written_down_at_the_discharge_is_said(html):
    assert "41 stays appeared after the cutoff that followed their" in html
    assert "&lt;5 stays have another admission time now" in html
    assert "At its training, disease was written down &lt;late&gt;." in html
