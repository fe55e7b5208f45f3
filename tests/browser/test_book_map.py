"""The map of the book on its page: its links, which name notebooks, lead to pages of the site."""

import itertools

import pytest
from playwright.sync_api import expect

PAGE = "chapters/11_next.html"


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_a_click_leads_to_the_section(page, site, scheme):
    page.goto(getattr(site, scheme)(PAGE))
    page.locator(".lm-map").get_by_role("link", name="truth, left side").click()
    page.wait_for_url("**/chapters/01_probability.html#the-floor")
    expect(page.locator("#the-floor")).to_be_in_viewport()


def test_each_link_leads_to_a_page_and_is_reached_by_keyboard(page, site):
    page.goto(site.http(PAGE))
    links = page.locator(".lm-map a")
    targets = links.evaluate_all("(all) => all.map((a) => a.getAttribute('href').split('#')[0])")
    assert len(targets) >= 17
    assert set(targets) <= {path.removeprefix("chapters/") for path in site.pages}
    links.first.focus()
    for _ in targets[1:]:
        page.keyboard.press("Tab")
    expect(links.last).to_be_focused()


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_no_two_lines_of_the_map_meet(new_page, site, width):
    page = new_page(viewport={"width": width, "height": 800})
    page.goto(site.http(PAGE))
    boxes = [link.bounding_box() for link in page.locator(".lm-map .ladder a").all()]
    for above, below in itertools.pairwise(boxes):
        assert above["y"] + above["height"] <= below["y"] + 1
    names = page.locator(".lm-map a b")
    assert names.evaluate_all(
        """(all) => all.every((name) => {
          const box = name.closest('a').getBoundingClientRect();
          return name.getBoundingClientRect().right <= box.right;
        })"""
    )
