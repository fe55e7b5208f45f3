"""Each model of the playground's page against Python; tests/browser asks the same in Chromium."""

import page_models
import pytest


def test_every_model_of_the_page_is_compared():
    headers = page_models.widget().headers
    assert tuple(header["name"] for header in headers) == page_models.NAMES


@pytest.mark.parametrize("name", page_models.NAMES)
def test_texts_are_read_and_continued_as_in_python(run, name, capsys):
    nearness = page_models.check_logits(run, name)
    with capsys.disabled():
        print(f"\n{nearness}")


@pytest.mark.parametrize("name", page_models.NAMES)
def test_filters(run, name):
    page_models.check_filters(run, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", page_models.NAMES)
def test_greedy_and_beam(run, name):
    assert page_models.check_searches(run, name) <= 2  # near ties
