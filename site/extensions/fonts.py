"""Cuts the site's two fonts down to the characters it uses: mathematics from 1.5 MB, icons from 150 kB.

Both come from installed packages when the book is built, under the SIL Open Font License: STIX Two Math from
ziamath, Font Awesome from the theme.
"""

import re
from hashlib import sha256
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# What any formula may draw from: ASCII, the italic letters that single Latin and Greek ones become, and the
# radical sign, which an <msqrt> draws without naming it.
ALWAYS = {*range(0x20, 0x7F), 0x210E, 0x221A, *range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C)}
FORMULA = re.compile(r"<math\b.*?</math>", re.DOTALL)
ICON_NAME = re.compile(r"fa-[a-z0-9-]+")
RULE = re.compile(r"([^{}]*)\{([^{}]*)\}")
ICON = re.compile(r'\s*(?:content|--fa):\s*"\\([0-9a-f]{4})"')
ICON_CODE = re.compile(r"\\(f[0-9a-f]{3})\b")

# Loads a font before the style sheet does. From the disk a browser refuses that, so there the page is shown
# when the font has loaded, a moment later; otherwise lines would visibly break again.
PRELOAD = (
    "<script>if (location.protocol !== 'file:') document.head.append("
    "Object.assign(document.createElement('link'), "
    "{{rel: 'preload', href: '{font}', as: 'font', type: 'font/woff2', crossOrigin: ''}}));\n"
    "else {{const root = document.documentElement.style; root.visibility = 'hidden';\n"
    "addEventListener('DOMContentLoaded', () => document.fonts.load('1em \"LM Math\"')"
    ".finally(() => {{root.visibility = ''}}))}}</script>\n"
)


def cut(source: Path, target: Path, characters: list[int], features: list[str], kept: Path) -> None:
    """Write to `target`, as WOFF2, the part of the font `source` that draws `characters`.

    If an earlier build has cut the same, it is taken from the folder `kept`.
    """
    asked = sha256(source.read_bytes() + repr((characters, features)).encode()).hexdigest()
    earlier = kept / f"{source.stem}-{asked}.woff2"
    if not earlier.exists():
        write_part(source, earlier, characters, features)
    target.parent.mkdir(parents=True, exist_ok=True)
    copyfile(earlier, target)


def write_part(source: Path, target: Path, characters: list[int], features: list[str]) -> None:
    from fontTools import subset  # not needed while the site draws from the same characters
    from fontTools.ttLib import TTFont

    font = TTFont(source, recalcTimestamp=False)
    subsetter = subset.Subsetter(subset.Options(layout_features=features, hinting=False, notdef_outline=True))
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    font.flavor = "woff2"
    target.parent.mkdir(parents=True, exist_ok=True)
    font.save(target)


def characters_in_use(html: Path) -> list[int]:
    """Return the code points that the formulas of the site draw from."""
    found = set(ALWAYS)
    for path in html.rglob("*.html"):
        for formula in FORMULA.findall(path.read_text(encoding="utf-8")):
            found.update(map(ord, unescape(formula)))
    return sorted(found)


def icons_in_use(html: Path) -> list[int]:
    """Return the code points of the icons that the pages, scripts and style sheets of the site name."""
    files = [p for kind in ("*.html", "*.js") for p in html.rglob(kind) if "vendor" not in p.parts]
    named = {name for path in files for name in ICON_NAME.findall(path.read_text(encoding="utf-8"))}
    codes: set[str] = set()
    for path in html.rglob("*.css"):
        style = path.read_text(encoding="utf-8")
        for selectors, body in RULE.findall(style):
            names, icon = set(ICON_NAME.findall(selectors)), ICON.match(body)
            if icon and (not names or names & named):
                codes.add(icon[1])
            codes.update(ICON_CODE.findall(body, icon.end() if icon else 0))  # such as those of admonitions
    return sorted(int(code, 16) for code in codes)


def write_fonts(app: Sphinx, error: Exception | None) -> None:
    """Write both fonts into the finished site."""
    if error or app.builder.format != "html":
        return
    ziamath, theme = find_spec("ziamath"), find_spec("pydata_sphinx_theme")
    if ziamath is None:
        raise ExtensionError("The font of the formulas is missing: pip install --no-deps ziamath==0.13")
    static, kept = Path(app.outdir, "_static"), Path(app.doctreedir, "fonts")
    source = Path(ziamath.submodule_search_locations[0], "fonts", "STIXTwoMath-Regular.ttf")
    cut(source, static / "lm-math.woff2", characters_in_use(Path(app.outdir)), ["ssty", "dtls"], kept)
    for source in Path(theme.submodule_search_locations[0]).rglob("fa-solid-900.woff2"):
        target = static / "vendor/fontawesome/webfonts" / source.name
        cut(source, target, icons_in_use(Path(app.outdir)), [], kept)


def ask_early(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Preload the font of a page's formulas, so that lines don't break again when it loads."""
    if "<math" in context.get("body", ""):
        font = context["pathto"]("_static/lm-math.woff2", resource=True)
        context["metatags"] += PRELOAD.format(font=font)


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", ask_early, priority=501)  # after the page's policy
    app.connect("build-finished", write_fonts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
