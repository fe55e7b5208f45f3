"""A place for every widget on a page, and the views of all widgets as one script and one style sheet.

The saved state of a page has a widget's data. The site has the views: `_static/widgets/views.js` has every
file of `lmbook/widgets` once and a view for each class; static-widgets.js finds a view by the name
of the class. It is a classic script, because a browser loads no modules from the disk.
"""

import ast
import json
import re
from collections import defaultdict
from hashlib import sha256
from html import escape
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from book import ROOT
from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.config import Config

WIDGETS = ROOT / "lmbook" / "widgets"
SCRIPT, STYLE = "widgets/views.js", "widgets/views.css"  # in the folder _static
STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = re.compile(
    r'<script type="application/vnd\.jupyter\.widget-view\+json">(.*?)</script>', re.DOTALL
)


def views() -> dict[str, list[str]]:
    """Return the view files of the book's widgets, each with the names of the classes that it draws.

    They are read from lines such as `_esm = bundle("shannon.js")`: importing the classes takes seconds.
    """
    found = defaultdict(list)
    for path in sorted(WIDGETS.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and (view := view_of(node)):
                found[view].append(f"{module}.{node.name}")
    return dict(found)


def view_of(node: ast.ClassDef) -> str | None:
    """Return the file that a class gives to `bundle`, if it does."""
    for line in node.body:
        match line:
            case ast.Assign([ast.Name("_esm")], ast.Call(ast.Name("bundle"), [ast.Constant(view)])):
                return view
    return None


def script() -> str:
    """Return the script of all views: what they share, once, then each in a scope of its own.

    Shared files are one block, where two functions of one name are an error.
    """
    spec = spec_from_file_location("bundle", WIDGETS / "bundle.py")
    bundle = module_from_spec(spec)
    spec.loader.exec_module(bundle)
    drawn = {(WIDGETS / view).resolve(): names for view, names in views().items()}
    parts = ["'use strict';\nglobalThis.lmViews = {};\n{\n"]
    for path in bundle.modules(*views()):
        if path not in drawn:
            parts.append(bundle.without_exports(path))
            continue
        text = bundle.without_exports(path).replace("export default ", "return ")
        names = "".join(f"lmViews[{json.dumps(name)}] = " for name in drawn[path])
        parts.append(f"{names}(() => {{\n{text}}})();\n")
    return "".join([*parts, "}\n"])


def style() -> str:
    """Return the style sheet of all views, the kit's first."""
    paths = sorted(WIDGETS.rglob("*.css"), key=lambda path: ("kit" not in path.parts, path))
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def remember_views(app: Sphinx, config: Config) -> None:
    """Make the views a setting, so that pages name the new files when they change."""
    app.lm_views = {SCRIPT: script(), STYLE: style()}
    config.lm_views = sha256(repr(app.lm_views).encode()).hexdigest()


def write_views(app: Sphinx) -> None:
    """Write the files before the pages, which name them with a check sum."""
    if app.builder.format == "html":
        for name, text in app.lm_views.items():
            path = Path(app.outdir, "_static", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


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


def place_widgets(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document
) -> None:
    """Give every widget a place.

    A widget's traits `height_wide` and `height_narrow` give its height in pixels on a desk and on a phone;
    that much is reserved until it is drawn. Its trait `still`, plain text, is shown on paper
    and without scripts.
    """
    saved = saved_widgets(app, pagename)
    if "body" not in context or not saved:
        return

    def place(match: re.Match) -> str:
        state = saved.get(json.loads(match[1])["model_id"], {}).get("state", {})
        heights = {kind: state.get(f"height_{kind}") for kind in ("wide", "narrow")}
        style = "".join(f"--lm-{kind}:{height:d}px;" for kind, height in heights.items() if height)
        still = f'<pre class="lm-still">{escape(text)}</pre>' if (text := state.get("still")) else ""
        return f'<div class="lm-widget" style="{style}"></div>{match[0]}{still}'

    context["body"] = WIDGET_VIEW.sub(place, context["body"])
    app.add_css_file(STYLE, priority=900)  # after lm.css


def lighten_state(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document
) -> None:
    """Remove from a page's state what the page already has as text."""
    for script in context.get("script_files", []):
        attributes = getattr(script, "attributes", {})
        if attributes.get("type") == STATE:
            saved = json.loads(attributes["body"])
            for model in saved["state"].values():
                model["state"].pop("still", None)
            attributes["body"] = json.dumps(saved)


def setup(app: Sphinx) -> dict:
    app.add_config_value("lm_views", "", "html")
    app.connect("config-inited", remember_views)
    app.connect("builder-inited", write_views)
    app.connect("env-updated", drop_kernel_controls)
    app.connect("html-page-context", place_widgets)
    app.connect("html-page-context", lighten_state, priority=900)  # after myst-nb has added the state
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
