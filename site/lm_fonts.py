"""Cuts the site's two fonts down to the characters it uses: mathematics from 1.5 MB, icons from 150 kB.

Both come from installed packages when the book is built, under the SIL Open Font License: STIX Two Math from
ziamath, Font Awesome from the theme.
"""

import re
from importlib.util import find_spec
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# What formulas draw from: letters, digits, operators, arrows, Greek, and the mathematical alphabets.
MATHEMATICS = [
    *range(0x20, 0x7F),
    *range(0xA0, 0x100),
    *range(0x300, 0x370),
    *range(0x391, 0x3D7),
    *range(0x2010, 0x2065),
    *(0x20D7, 0x210E, 0x210F, 0x2113, 0x2102, 0x210D, 0x2115, 0x2119, 0x211A, 0x211D, 0x2124),
    *range(0x2190, 0x21A0),
    *(0x21A6, 0x21D0, 0x21D2, 0x21D4),
    *range(0x2200, 0x22A6),
    *(0x22C5, 0x22EE, 0x22EF, 0x22F1, 0x2308, 0x2309, 0x230A, 0x230B, 0x23DE, 0x23DF, 0x27E8, 0x27E9),
    *range(0x1D400, 0x1D468),  # bold and italic letters
    *range(0x1D49C, 0x1D4D0),  # script capitals
    *range(0x1D538, 0x1D56C),  # double-struck
    *range(0x1D670, 0x1D71C),  # monospace, bold and italic Greek
    *range(0x1D7CE, 0x1D7E2),  # bold and double-struck digits
]
ICON_NAME = re.compile(r"\bfa-[a-z0-9-]+")
ICON_RULE = re.compile(r'([^{}]*)\{\s*(?:content|--fa):\s*"\\([0-9a-f]{4})"')
ICON_CODE = re.compile(r"\\(f[0-9a-f]{3})\b")


def cut(source: Path, target: Path, characters: list[int], features: list[str]) -> None:
    """Write to `target`, as WOFF2, the part of the font `source` that draws `characters`."""
    font = TTFont(source)
    subsetter = subset.Subsetter(subset.Options(layout_features=features, hinting=False, notdef_outline=True))
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    font.flavor = "woff2"
    target.parent.mkdir(parents=True, exist_ok=True)
    font.save(target)


def icons_in_use(html: Path) -> list[int]:
    """Return the code points of the icons that the pages, scripts and style sheets of the site name."""
    files = [p for kind in ("*.html", "*.js") for p in html.rglob(kind) if "vendor" not in p.parts]
    named = {name for path in files for name in ICON_NAME.findall(path.read_text(encoding="utf-8"))}
    codes: set[str] = set()
    for path in html.rglob("*.css"):
        style = path.read_text(encoding="utf-8")
        for selectors, code in ICON_RULE.findall(style):
            names = set(ICON_NAME.findall(selectors))
            if not names or names & named:
                codes.add(code)
        codes.update(ICON_CODE.findall(ICON_RULE.sub("", style)))  # such as the icons of admonitions
    return [int(code, 16) for code in codes]


def write_fonts(app: Sphinx, error: Exception | None) -> None:
    """Write both fonts into the finished site."""
    if error or app.builder.format != "html":
        return
    ziamath, theme = find_spec("ziamath"), find_spec("pydata_sphinx_theme")
    if ziamath is None:
        raise ExtensionError("The font of the formulas is missing: pip install --no-deps ziamath==0.13")
    static = Path(app.outdir, "_static")
    if not (mathematics := static / "lm-math.woff2").exists():
        source = Path(ziamath.submodule_search_locations[0], "fonts", "STIXTwoMath-Regular.ttf")
        cut(source, mathematics, MATHEMATICS, ["ssty", "dtls"])
    for source in Path(theme.submodule_search_locations[0]).rglob("fa-solid-900.woff2"):
        cut(source, static / "vendor/fontawesome/webfonts" / source.name, icons_in_use(Path(app.outdir)), [])


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", write_fonts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
