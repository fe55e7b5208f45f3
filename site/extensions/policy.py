"""The content policy: a page loads files of its own site only, and all of them exist."""

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError
from views import SCRIPT

# A page may load files of its own site and inline data, nothing else; its scripts may assemble WebAssembly.
POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="'
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob:; "
    "worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; frame-src 'none'; "
    "base-uri 'self'; form-action 'self'\">\n"
)

# If a browser refuses to store data, the theme's scripts must not fail: the data then lasts with the page.
# What a full storage holds already is there, and can be deleted.
STORAGE = (
    "<script>for(const name of['localStorage','sessionStorage']){"
    "try{window[name].setItem('lm-try','');window[name].removeItem('lm-try')}catch{"
    "let full,kept=new Map();try{full=window[name];"
    "for(const k of Object.keys(full))kept.set(k,full.getItem(k))}catch{}"
    "Object.defineProperty(window,name,{value:{lasts:false,"
    "getItem:(k)=>kept.get(k)??null,setItem:(k,v)=>{kept.set(k,String(v))},"
    "removeItem:(k)=>{kept.delete(k);full?.removeItem(k)}}})}}</script>\n"
)


def set_policy(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    context["metatags"] = POLICY + STORAGE + context.get("metatags", "")


def write_first_page(app: Sphinx, error: Exception | None) -> None:
    """Let the site's address lead to its first page, a file that jupyter-book leaves as it is."""
    if error or app.builder.format != "html":
        return
    page = f"{app.config.root_doc}.html"
    Path(app.outdir, "index.html").write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{app.config.html_title}</title>\n'
        '<link rel="icon" href="data:,">\n'  # the page is left at once, with no request pending
        f'{POLICY}<meta http-equiv="refresh" content="0; url={page}"></head>\n'
        f'<body><p><a href="{page}">{app.config.html_title}</a></p></body></html>\n',
        encoding="utf-8",
    )


def check_assets(app: Sphinx, config: Config) -> None:
    """Stop where a style sheet or script that every page asks for is missing; Sphinx would go on without."""
    scripts = [name for name in (*config.html_js_files, *config.nb_ipywidgets_js) if name != SCRIPT]
    for name in (*config.html_css_files, *scripts):
        if not any(Path(app.confdir, folder, name).exists() for folder in config.html_static_path):
            raise ConfigError(f"{name} is missing in {', '.join(config.html_static_path)}")


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", check_assets)
    app.connect("html-page-context", set_policy)
    app.connect("build-finished", write_first_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
