"""What the book's site adds to Sphinx: mathematics as MathML, and a place for every widget.

MathML is written when the book is built: a page needs no script for it, screen readers read it, and TeX that
can't be understood is a warning, hence a failed build.
"""

import json
import re
import tomllib
from hashlib import sha256
from html import escape
from pathlib import Path

from address import lead_to_pages
from docutils import nodes
from math_core import LatexError, LatexToMathML
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)
CONVERTER = LatexToMathML(fancy_error=False)
WIDGET_VIEW = re.compile(
    r'<script type="application/vnd\.jupyter\.widget-view\+json">(.*?)</script>', re.DOTALL
)

# Asks for a font before the style sheet does. From the disk a browser refuses that, so there the page is
# shown when the font has come, a moment later; else lines would break anew before the reader's eyes.
PRELOAD = (
    "<script>if (location.protocol !== 'file:') document.head.append("
    "Object.assign(document.createElement('link'), "
    "{{rel: 'preload', href: '{font}', as: 'font', type: 'font/woff2', crossOrigin: ''}}));\n"
    "else {{const root = document.documentElement.style; root.visibility = 'hidden';\n"
    "addEventListener('DOMContentLoaded', () => document.fonts.load('1em \"LM Math\"')"
    ".finally(() => {{root.visibility = ''}}))}}</script>\n"
)
# What a page may load: its own site, what it carries within itself, and nothing from anywhere else.
POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="'
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; frame-src 'none'; "
    "base-uri 'self'; form-action 'self'\">\n"
)

# Where a browser refuses to store, the theme's scripts must not fail: what they store lasts with the page.
STORAGE = (
    "<script>try{localStorage.setItem('lm-try','');localStorage.removeItem('lm-try')}catch{"
    "const kept=new Map();Object.defineProperty(window,'localStorage',{value:{lasts:false,"
    "getItem:(k)=>kept.get(k)??null,setItem:(k,v)=>{kept.set(k,String(v))},"
    "removeItem:(k)=>{kept.delete(k)}}})}</script>\n"
)


def converted(node: nodes.Element, *, display: bool) -> str:
    """Return the TeX of `node` as MathML, or nothing and a warning where it isn't TeX."""
    tex = node.astext().strip()
    try:
        return CONVERTER.convert_with_local_state(tex, displaystyle=display)
    except LatexError as error:
        logger.warning("cannot turn this formula into MathML: %s\n%s", error, tex, location=node)
        return ""


def visit_math(self, node: nodes.math) -> None:
    self.body.append(f'<span class="math">{converted(node, display=False)}</span>')
    raise nodes.SkipNode


def visit_displaymath(self, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math lm-equation"))
    self.body.append(f'<div class="lm-formula">{converted(node, display=True)}</div>')
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def saved_widgets(app: Sphinx, pagename: str) -> dict:
    """Return the saved widgets of a page, by their ids."""
    _, script = NbMetadataCollector.get_js_files(app.env, pagename).get("ipywidgets_state", (None, {}))
    return json.loads(script["body"])["state"] if script else {}


def drop_kernel_controls(app: Sphinx, env) -> None:
    """Keep ordinary ipywidgets off the pages: they need a kernel, and their output is removed."""
    for docname in env.found_docs:
        _, script = NbMetadataCollector.get_js_files(env, docname).get("ipywidgets_state", (None, None))
        if script:
            saved = json.loads(script["body"])
            saved["state"] = {
                key: model for key, model in saved["state"].items() if model["model_module"] == "anywidget"
            }
            script["body"] = json.dumps(saved)


def tidy_page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document) -> None:
    """Give every widget a place, links in outputs a page, the list of sources a role that its items fit into.

    A widget that knows how high it will be says so in its traits `height_wide` and `height_narrow`, in pixels
    on a desk and on a phone; that much is kept free until it is drawn, so that nothing jumps. Its trait
    `still`, plain text, stands in for it on paper and where scripts don't run.
    """
    context["metatags"] = POLICY + STORAGE + context.get("metatags", "")
    if "body" not in context:
        return
    saved = saved_widgets(app, pagename)

    def place(match: re.Match) -> str:
        state = saved.get(json.loads(match[1])["model_id"], {}).get("state", {})
        heights = {kind: state.get(f"height_{kind}") for kind in ("wide", "narrow")}
        style = "".join(f"--lm-{kind}:{height:d}px;" for kind, height in heights.items() if height)
        still = f'<pre class="lm-still">{escape(text)}</pre>' if (text := state.get("still")) else ""
        return f'<div class="lm-widget" style="{style}"></div>{match[0]}{still}'

    if "<math" in context["body"]:  # or lines would break anew when its font comes
        font = context["pathto"]("_static/lm-math.woff2", resource=True)
        context["metatags"] += PRELOAD.format(font=font)
    body = WIDGET_VIEW.sub(place, context["body"])
    context["body"] = lead_to_pages(body).replace('role="doc-biblioentry"', 'role="listitem"')


def share_lines(texts: list[str]) -> tuple[list[str], list[list[list[int]]]]:
    """Write what several texts have in common once.

    Returns:
        all lines, and for each text the ranges [first, after last] of them that it is made of.
    """
    lines: list[str] = []
    places: dict[tuple[str, ...], int] = {}  # four lines in a row -> where they stand
    recipes = []
    for text in texts:
        own, ranges = text.split("\n"), []
        for i, line in enumerate(own):
            end = ranges[-1][1] if ranges else -1
            if 0 <= end < len(lines) and lines[end] == line:
                ranges[-1][1] += 1
                continue
            known = places.get(tuple(own[i : i + 4]))
            start = len(lines) if known is None else known
            if known is None:
                lines.append(line)
            if start == end:
                ranges[-1][1] += 1
            else:
                ranges.append([start, start + 1])
        places |= {tuple(lines[p : p + 4]): p for p in range(len(lines) - 3, -1, -1)}
        recipes.append(ranges)
    return lines, recipes


def share_sources(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document
) -> None:
    """Carry the modules and styles that a page's widgets share once; static-widgets.js puts them together."""
    for script in context.get("script_files", []):
        attributes = getattr(script, "attributes", {})
        if attributes.get("type") != "application/vnd.jupyter.widget-state+json":
            continue
        saved = json.loads(attributes["body"])
        kept = [model["state"] for model in saved["state"].values()]
        for state in kept:
            state.pop("still", None)  # the page has it already, as text
        fields = [(state, name) for state in kept for name in ("_esm", "_css") if name in state]
        saved["lines"], recipes = share_lines([state[name] for state, name in fields])
        for (state, name), recipe in zip(fields, recipes, strict=True):
            state[name] = recipe
        attributes["body"] = json.dumps(saved)


def write_first_page(app: Sphinx, error: Exception | None) -> None:
    """Let the site's address lead to its first page, a file that jupyter-book leaves as it is."""
    if error or app.builder.format != "html":
        return
    page = f"{app.config.root_doc}.html"
    Path(app.outdir, "index.html").write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{app.config.html_title}</title>\n'
        '<link rel="icon" href="data:,">\n'  # it is left at once: nothing may be under way then
        f'{POLICY}<meta http-equiv="refresh" content="0; url={page}"></head>\n'
        f'<body><p><a href="{page}">{app.config.html_title}</a></p></body></html>\n',
        encoding="utf-8",
    )


def list_exercises(app: Sphinx, error: Exception | None) -> None:
    """Tell the site's progress.js which exercises and quiz questions each page has."""
    script = Path(app.outdir, "_static", "progress.js")
    if error or app.builder.format != "html" or not script.exists():
        return
    book = {}
    for path in sorted(Path(app.confdir, "lmbook", "exercises").glob("*.toml")):
        sheet = tomllib.loads(path.read_text(encoding="utf-8"))
        items = [*sheet.get("exercise", []), *sheet.get("quiz", [])]
        book[sheet["page"]] = [item["id"] for item in items]
    text = script.read_text(encoding="utf-8")
    script.write_text(text.replace("BOOK = {}", f"BOOK = {json.dumps(book)}"), encoding="utf-8")


def check_assets(app: Sphinx, config: Config) -> None:
    """Stop where a style sheet or script that every page asks for is missing; Sphinx would go on without."""
    for name in (*config.html_css_files, *config.html_js_files, *config.nb_ipywidgets_js):
        if not any(Path(app.confdir, folder, name).exists() for folder in config.html_static_path):
            raise ConfigError(f"{name} is missing in {', '.join(config.html_static_path)}")


def remember_files(app: Sphinx, config: Config) -> None:
    """Make what the site consists of settings, so that Sphinx draws all pages again when it changes."""
    here = Path(__file__).parent
    for setting, kinds in (("lm_code", ("*.py",)), ("lm_looks", ("static/**/*.*", "templates/**/*.*"))):
        files = sorted(path for kind in kinds for path in here.glob(kind))
        config[setting] = sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def setup(app: Sphinx) -> dict:
    app.add_config_value("lm_code", "", "env")
    app.add_config_value("lm_looks", "", "html")
    app.connect("config-inited", check_assets)
    app.connect("config-inited", remember_files)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    app.connect("env-updated", drop_kernel_controls)
    app.connect("html-page-context", tidy_page)
    app.connect("html-page-context", share_sources, priority=900)  # after myst-nb has added the state
    app.connect("build-finished", write_first_page)
    app.connect("build-finished", list_exercises)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
