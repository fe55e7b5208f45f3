"""Each model of the playground's page in Chromium against Python; tests/widgets asks Deno."""

import page_models
import pytest


@pytest.mark.parametrize("name", page_models.NAMES)
def test_texts_are_read_and_continued_as_in_python(run, name, capsys):
    nearness = page_models.check_logits(run, name)
    with capsys.disabled():
        print(f"\n{nearness}")


@pytest.mark.slow
@pytest.mark.parametrize("name", page_models.NAMES)
def test_filters(run, name):
    page_models.check_filters(run, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", page_models.NAMES)
def test_greedy_and_beam(run, name):
    assert page_models.check_searches(run, name) <= 2  # near ties
