"""Cuts the site's fonts down to the characters that it uses: mathematics from 1.5 MB, icons from 150 kB.

All come from installed packages when the book is built, under the SIL Open Font License: Source Serif 4 and
Source Sans 3 from npm, STIX Two Math from ziamath, Font Awesome from the theme.
"""

import json
import re
from hashlib import sha256
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

from book import ROOT
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

NODE = ROOT / ".venv" / "node" / "node_modules" / "@fontsource-variable"
# The faces of the text: file in the site, package, file of the package, what is kept of its weights.
FACES = (
    ("lm-serif", "source-serif-4", "source-serif-4-latin-wght-normal", (400, 700)),
    ("lm-serif-italic", "source-serif-4", "source-serif-4-latin-wght-italic", 400),
    ("lm-sans", "source-sans-3", "source-sans-3-latin-wght-normal", (400, 700)),
)
# What text may draw from: ASCII, and whatever widgets write.
LAST_LATIN = 0x2300  # arrows and relations are the last signs that the faces have
PLAIN = {*range(0x20, 0x7F), *map(ord, "°±²³·×÷–—‘’“”„†•…−")}
# The radical sign, which an <msqrt> draws without naming it.
ALWAYS = {*range(0x20, 0x7F), 0x221A}
SLANTED = (
    *((ord("A"), ord("Z"), 0x1D434), (ord("a"), ord("z"), 0x1D44E)),
    *((0x391, 0x3A9, 0x1D6E2), (0x3B1, 0x3C9, 0x1D6FC)),
    *((0x2202, 0x2202, 0x1D715), (0x3F5, 0x3F5, 0x1D716), (0x3D1, 0x3D1, 0x1D717), (0x3D5, 0x3D5, 0x1D719)),
)
ITALIC = re.compile(r"<mi>(.|&[^;]+;)</mi>")
FORMULA = re.compile(r"<math\b.*?</math>", re.DOTALL)
ICON_NAME = re.compile(r"fa-[a-z0-9-]+")
RULE = re.compile(r"([^{}]*)\{([^{}]*)\}")
ICON = re.compile(r'\s*(?:content|--fa):\s*"\\([0-9a-f]{4})"')
ICON_CODE = re.compile(r"\\(f[0-9a-f]{3})\b")

# Loads fonts before the style sheet does. From the disk a browser refuses that, so there the page is shown
# when the fonts have loaded, a moment later; otherwise lines would visibly break again.
PRELOAD = (
    "<script>if (location.protocol !== 'file:') {{for (const href of {fonts}) document.head.append("
    "Object.assign(document.createElement('link'), "
    "{{rel: 'preload', href, as: 'font', type: 'font/woff2', crossOrigin: ''}}))}}\n"
    "else {{const root = document.documentElement.style; root.opacity = '0';\n"
    "addEventListener('DOMContentLoaded', () => {{\n"
    "const faces = [...document.fonts].filter(({{family}}) => /LM (Serif|Sans|Math)\\W*$/.test(family));\n"
    "Promise.all(faces.map((face) => face.load())).finally(() => {{root.opacity = ''}})}})}}</script>\n"
)


Weights = tuple[int, int] | int | None


def cut(
    source: Path,
    target: Path,
    characters: list[int],
    features: list[str],
    kept: Path,
    weights: Weights = None,
) -> None:
    """Write to `target`, as WOFF2, the part of the font `source` that draws `characters`.

    Of a variable font the range of `weights` is kept, or one. If an earlier build has cut the same, it is
    taken from the folder `kept`.
    """
    asked = sha256(source.read_bytes() + repr((characters, features, weights)).encode()).hexdigest()
    earlier = kept / f"{source.stem}-{asked}.woff2"
    if not earlier.exists():
        write_part(source, earlier, characters, features, weights)
    target.parent.mkdir(parents=True, exist_ok=True)
    copyfile(earlier, target)


def write_part(
    source: Path, target: Path, characters: list[int], features: list[str], weights: Weights
) -> None:
    from fontTools import subset  # not needed while the site draws from the same characters
    from fontTools.ttLib import TTFont
    from fontTools.varLib.instancer import instantiateVariableFont

    font = TTFont(source, recalcTimestamp=False)
    subsetter = subset.Subsetter(subset.Options(layout_features=features, hinting=False, notdef_outline=True))
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    if weights is not None:
        font = instantiateVariableFont(font, {"wght": weights})
    font.flavor = "woff2"
    target.parent.mkdir(parents=True, exist_ok=True)
    font.save(target)


def characters_in_use(html: Path) -> list[int]:
    """Return the code points that the formulas of the site draw from."""
    found = set(ALWAYS)
    for path in html.rglob("*.html"):
        for formula in FORMULA.findall(path.read_text(encoding="utf-8")):
            found.update(map(ord, unescape(formula)))
            found.update(slanted(unescape(letter)) for letter in ITALIC.findall(formula))
    return sorted(found)


def slanted(letter: str) -> int:
    """Return the code point that a browser draws for a letter that is an identifier of its own.

    >>> [f"{slanted(letter):x}" for letter in "Aah\N{GREEK SMALL LETTER ALPHA}1"]
    ['1d434', '1d44e', '210e', '1d6fc', '31']
    """
    code = ord(letter)
    if letter == "h":
        return 0x210E
    for first, last, slope in SLANTED:
        if first <= code <= last:
            return code - first + slope
    return code


def letters_in_use(html: Path) -> list[int]:
    """Return the code points that the text of the site may draw from."""
    found = set(PLAIN)
    for path in html.rglob("*.html"):
        found.update(map(ord, unescape(path.read_text(encoding="utf-8"))))
    return sorted(code for code in found if code < LAST_LATIN)


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
    """Write the fonts into the finished site."""
    if error or app.builder.format != "html":
        return
    ziamath, theme = find_spec("ziamath"), find_spec("pydata_sphinx_theme")
    if ziamath is None:
        raise ExtensionError("The font of the formulas is missing: pip install --no-deps ziamath==0.13")
    static, kept = Path(app.outdir, "_static"), Path(app.doctreedir, "fonts")
    source = Path(ziamath.submodule_search_locations[0], "fonts", "STIXTwoMath-Regular.ttf")
    letters = letters_in_use(Path(app.outdir))
    for name, package, file, weights in FACES:
        face = NODE / package / "files" / f"{file}.woff2"
        if face.exists():  # else the pages have the reader's own faces
            cut(face, static / f"{name}.woff2", letters, ["kern", "liga", "ccmp"], kept, weights)
    cut(source, static / "lm-math.woff2", characters_in_use(Path(app.outdir)), ["ssty", "dtls"], kept)
    for source in Path(theme.submodule_search_locations[0]).rglob("fa-solid-900.woff2"):
        target = static / "vendor/fontawesome/webfonts" / source.name
        cut(source, target, icons_in_use(Path(app.outdir)), [], kept)


def ask_early(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Preload the faces of a page, so that lines don't break again when they load."""
    names = [name for name, *_ in FACES if NODE.exists()] + ["vendor/fontawesome/webfonts/fa-solid-900"]
    if "<math" in context.get("body", ""):
        names.append("lm-math")
    fonts = [context["pathto"](f"_static/{name}.woff2", resource=True) for name in names]
    context["metatags"] += PRELOAD.format(fonts=json.dumps(fonts))


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", ask_early, priority=501)  # after the page's policy
    app.connect("build-finished", write_fonts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
