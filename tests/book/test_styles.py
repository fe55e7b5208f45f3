"""The site's one style sheet has the rules that its pages use, and no others."""

import pytest
from extensions import styles


@pytest.fixture
def site(tmp_path):
    static = tmp_path / "_static"
    static.mkdir()
    (tmp_path / "a.html").write_text('<p class="used one" id="place"></p>', encoding="utf-8")
    (static / "a.js").write_text("el.classList.add('made-by-script')", encoding="utf-8")
    return static


def sheet(site, text: str) -> str:
    (site / "a.css").write_text(text, encoding="utf-8")
    return "".join(styles.one_sheet([site / "a.css"], site).split())


@pytest.mark.parametrize(
    "rule",
    [
        "p{a:b}",
        ".used{a:b}",
        "#place.one>p::before{content:'}{'}",
        ".made-by-script{a:b}",
        ":is(.used,.none){a:b}",
        "p:not(.none){a:b}",
        "@font-face{font-family:x;src:url(x.woff2)}",
        "@keyframesx{from{a:b}}",
    ],
)
def test_a_rule_that_something_uses_stays(site, rule):
    assert sheet(site, rule.replace("@keyframesx", "@keyframes x")) == rule


@pytest.mark.parametrize(
    "rule", [".none{a:b}", "#used{a:b}.none{}", "p .none{a:b}", "@media print{.none{a:b}}"]
)
def test_a_rule_that_nothing_uses_goes(site, rule):
    assert "none" not in sheet(site, rule)


def test_of_a_list_of_selectors_the_used_ones_stay(site):
    assert sheet(site, ".none, .used , .none b{a:b}") == ".used{a:b}"


def test_an_own_property_stays_while_something_reads_it(site):
    text = ":root{--read:1;--through:var(--read);--unread:var(--lost);--lost:2}.used{a:var(--through)}"
    assert sheet(site, text) == ":root{--read:1;--through:var(--read)}.used{a:var(--through)}"
    (site / "widgets").mkdir()
    (site / "widgets" / "views.css").write_text("p{a:var(--lost)}", encoding="utf-8")
    assert "--lost:2" in sheet(site, text)


def test_imports_are_drawn_in_and_addresses_lead_from_the_folder(site):
    (site / "styles").mkdir()
    (site / "styles" / "b.css").write_text("p{src:url(../x.woff2?y#z)}i{src:url(data:,)}", encoding="utf-8")
    assert sheet(site, '@import "styles/b.css";') == "p{src:url(x.woff2?y#z)}i{src:url(data:,)}"


def test_a_page_loads_the_one_sheet_once_and_keeps_its_own():
    links = "".join(
        f'<link rel="stylesheet" href="../_static/{name}?v=1">'
        for name in ("styles/pydata-sphinx-theme.css", "togglebutton.css", "lm.css", "widgets/views.css")
    )
    after = styles.with_one_sheet(links, "new")
    assert after.count("<link") == 2
    assert '"../_static/site.css?v=new"' in after
    assert '"../_static/widgets/views.css?v=1"' in after
    assert '"../_static/site.css?v=newer"' in styles.with_one_sheet(after, "newer")


def test_a_page_without_the_theme_stays_as_it_is():
    page = '<link rel="stylesheet" href="../_static/lm.css">'
    assert styles.with_one_sheet(page, "new") == page
