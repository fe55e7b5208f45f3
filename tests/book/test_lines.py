"""Line breaks: what belongs together stays on one line, and only prose is changed."""

import pytest
from extensions.typography import PICTURE, tied

NBSP = "\N{NO-BREAK SPACE}"
MATH = '<span class="math"><math><mi>x</mi></math></span>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15 % of it", f"15{NBSP}% of it"),
        ("a % b", "a % b"),
        ("see chapter 3, section 2", f"see chapter{NBSP}3, section{NBSP}2"),
        ('Chapter <a href="x">1</a>', f'Chapter{NBSP}<a href="x">1</a>'),
        ("an n-gram", 'an <span class="lm-tied">n-gram</span>'),
        ("in UTF-8.", 'in <span class="lm-tied">UTF-8</span>.'),
        ("a well-known way", "a well-known way"),
        ("state-of-a-kind", "state-of-a-kind"),
        (f"is {MATH}, so", f'is <span class="lm-tied">{MATH},</span> so'),
        (f"({MATH}) is", f'<span class="lm-tied">({MATH})</span> is'),
        (f"of {MATH} and", f"of {MATH} and"),
        (f"{MATH} or {MATH}.", f'{MATH} or <span class="lm-tied">{MATH}.</span>'),
    ],
)
def test_what_belongs_together_stays_on_one_line(text, expected):
    assert tied(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "<pre>15 % n-gram</pre>",
        '<code class="literal"><span class="pre">top-k</span> 15 %</code>',
        '<img alt="15 % of n-grams, chapter 3">',
        '<a href="#n-gram">word</a>',
        "<math><mtext>n-gram</mtext></math>",
    ],
)
def test_code_attributes_and_formulas_stay_as_they_are(text):
    assert tied(text) == text


def test_a_picture_gets_a_box_and_its_caption_none():
    figure = '<figure class="a" id="b">\n<img alt="x" src="y.svg" />\n<figcaption>Text</figcaption></figure>'
    boxed = PICTURE.sub(r'\1<div class="lm-figure">\2</div>', figure)
    assert boxed == figure.replace("<img", '<div class="lm-figure"><img').replace(" />", " /></div>")
