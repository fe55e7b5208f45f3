"""Material for a course, in the folder `course` of the site, and what the page for teachers says of it.

For each chapter an assignment sheet, its key, and slides: before each figure and widget the question that the
chapter asks, then the figure, then what the chapter reads in it. All of it comes from the chapters and from
the files of exercises, so it is made anew with them. Without reveal.js, an npm package, slides are one page.
"""

import json
import re
import shutil
from html import escape
from pathlib import Path

from book import ROOT
from docutils import nodes
from plan import POINTS, marks, reading, total, weeks
from sheets import Sheet, key_body, sheet_body, sheets, words
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from extensions.figures import cells, stored_cells, summaries
from extensions.policy import POLICY
from extensions.typography import tied

FOLDER = "course"
REVEAL = ROOT / ".venv" / "node" / "node_modules" / "reveal.js"
MASKED = re.compile(r"<math\b.*?</math>|<[^>]+>", re.DOTALL)
ASKED = re.compile(r"(?:(?<=^)|(?<=[.?!:;] ))(?:[^.?!:;]|[.!:;](?! ))*\?")
LINK = re.compile(r'(<a\b[^>]*\bhref=")(?!https?:|\.\./)([^"]*")')
PERMALINK = re.compile(r'<a class="headerlink".*?</a>', re.DOTALL)
LINES_PER_CELL = 10_000  # by which myst-nb numbers the lines of a notebook
TEXT = (nodes.paragraph, nodes.bullet_list, nodes.enumerated_list, nodes.math_block)


def document(title: str, body: str, kind: str) -> str:
    """Return a page of the course: a sheet, a key, or slides, in the colours that the reader has chosen."""
    slides = kind == "slides"
    static = "../_static"
    scripts = f'<script defer src="{static}/slides.js"></script>' if slides else ""
    if slides and (version := reveal_version()):
        home = f"{static}/reveal-{version}"
        scripts = f'<script defer src="{home}/reveal.js" data-style="{home}/reveal.css"></script>{scripts}'
    return (
        '<!doctype html>\n<html lang="en" data-theme="light"><head><meta charset="utf-8">\n'
        f'{POLICY}<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex">\n'
        f"<title>{escape(title)} — {kind}</title>\n"
        f'<link rel="icon" href="{static}/favicon.svg">\n'
        f'<link rel="stylesheet" href="{static}/lm.css"><link rel="stylesheet" href="{static}/course.css">\n'
        "<script>try{document.documentElement.dataset.theme=localStorage.getItem('theme')||''}catch{}"
        "if(!/^(light|dark)$/.test(document.documentElement.dataset.theme))document.documentElement.dataset"
        ".theme=matchMedia('(prefers-color-scheme: dark)').matches?'dark':'light'</script>\n"
        f'{scripts}</head>\n<body class="lm-course lm-{kind}">\n{body}\n</body></html>\n'
    )


def page(sheet: Sheet, title: str, kind: str, body: str) -> str:
    """Return a sheet or a key, with the way back."""
    back = f'<nav><a href="../chapters/{sheet.page}.html">The chapter</a> · {BACK}</nav>'
    return document(title, f"{back}<main>{body}</main>", kind)


BACK = '<a href="../chapters/teachers.html">For teachers</a>'


def reveal_version() -> str:
    """Return the version of reveal.js that is installed, "" without it."""
    about = REVEAL / "package.json"
    return json.loads(about.read_text(encoding="utf-8"))["version"] if about.exists() else ""


def shown_in(app: Sphinx, docname: str, doctree: nodes.document) -> list[dict]:
    """Return, in order, each figure and widget with its section, the text before it and the text after it."""
    blocks = [node for section in doctree.findall(nodes.section) for node in section.children]
    ids = [cell.get("id", "") for cell in stored_cells(Path(app.env.doc2path(docname)))]
    code = set(map(id, cells(doctree)))
    found, text, heading, waiting = [], [], nodes.title(), []
    for node in blocks:
        if isinstance(node, nodes.title):
            heading, text, waiting = node, [], []
        elif isinstance(node, TEXT):
            text.append(node)
            if waiting and reads(node, ids):
                for item in waiting:
                    item["after"] = [node]
                waiting, last = [], node
            elif found and found[-1]["after"] and last.astext().endswith(":"):
                found[-1]["after"].append(node)
                last = node
        elif id(node) in code and (shown := shown_by(node)):
            for item in shown:
                found.append(item | {"heading": heading, "before": question(text), "after": []})
            text, waiting = [], found[-len(shown) :]
    return found


def reads(node: nodes.Element, ids: list[str]) -> bool:
    """Return whether a paragraph stands in a cell that reads what was shown: its id ends so."""
    cell = (node.line or 0) // LINES_PER_CELL - 1
    return isinstance(node, nodes.paragraph) and 0 <= cell < len(ids) and ids[cell].endswith("-read")


def shown_by(cell: nodes.container) -> list[dict]:
    """Return the figures of a cell, or its widget."""
    figures = [{"figure": figure, "place": figure["ids"][0]} for figure in cell.findall(nodes.figure)]
    if not figures and (name := cell.get("widget")) and name != "Exercises":
        return [{"widget": name, "place": cell["ids"][-1]}]
    return figures


def question(text: list[nodes.Node]) -> nodes.paragraph | None:
    """Return the last paragraph that asks something, else the last one, if it needs nothing below it."""
    whole = [node for node in text if isinstance(node, nodes.paragraph) and not node.astext().endswith(":")]
    asking = [node for node in whole if "?" in node.astext()]
    return next(iter([*reversed(asking), *reversed(whole)]), None)


class Drawing:
    """Draws the parts of a chapter for its slides."""

    def __init__(self, app: Sphinx, chapter: str):
        self.app, self.chapter = app, chapter

    def draw(self, node: nodes.Node) -> str:
        """Return a part of the chapter as HTML whose links start from the folder of the course."""
        fragment = self.app.builder.render_partial(node.deepcopy())["fragment"]
        return tied(self.lead(PERMALINK.sub("", fragment)))

    def lead(self, fragment: str) -> str:
        """Make links start from the folder of the course; ids stay in the chapter."""

        def there(match: re.Match) -> str:
            page = f"{self.chapter}.html" if match[2].startswith("#") else ""
            return f"{match[1]}../chapters/{page}{match[2]}"

        return re.sub(r'\sid="[^"]*"', "", LINK.sub(there, fragment))

    def inline(self, node: nodes.Element) -> str:
        """Return what a title or a paragraph holds."""
        drawn = self.draw(nodes.paragraph("", "", *(child.deepcopy() for child in node.children)))
        return drawn.strip().removeprefix("<p>").removesuffix("</p>")


def emphasised(fragment: str) -> str:
    """Return a paragraph in which each sentence that asks something stands out.

    >>> emphasised("<p>It falls. Where <em>to</em>? We see.</p>")
    '<p>It falls. <strong class="lm-asked">Where <em>to</em>?</strong> We see.</p>'
    """
    kept: list[str] = []

    def keep(match: re.Match) -> str:
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    def stand_out(match: re.Match) -> str:
        tags = [kept[int(number)] for number in re.findall(r"\0(\d+)\0", match[0])]
        opened = sum(tag[1] != "/" for tag in tags if not tag.startswith("<math"))
        even = 2 * opened == sum(not tag.startswith("<math") for tag in tags)
        return f'<strong class="lm-asked">{match[0].lstrip()}</strong>' if even else match[0]

    start, text, end = re.fullmatch(r"(<p\b[^>]*>)?(.*?)(</p>\s*)?", fragment, re.DOTALL).groups(default="")
    text = ASKED.sub(stand_out, MASKED.sub(keep, text))
    return start + re.sub(r"\0(\d+)\0", lambda match: kept[int(match[1])], text) + end.strip()


def slide(*parts: str, kind: str = "") -> str:
    words = len(re.sub(r"<[^>]+>", " ", " ".join(parts)).split())
    length = " lm-long" if words > 110 else ""
    return f'<section class="lm-slide {kind}{length}">{"".join(parts)}</section>\n'


def slides(app: Sphinx, docname: str, doctree: nodes.document) -> str:
    """Return the slides of a chapter."""
    chapter = docname.rpartition("/")[2]
    drawing = Drawing(app, chapter)
    title = next(iter(doctree.findall(nodes.title)))
    abilities = next(iter(doctree.findall(nodes.paragraph)))
    parts = [slide(f"<h1>{drawing.inline(title)}</h1>", drawing.draw(abilities), kind="lm-first")]
    for item in shown_in(app, docname, doctree):
        above = f"<h2>{drawing.inline(item['heading'])}</h2>"
        there = f"../chapters/{chapter}.html#{item['place']}"
        if item["before"] is not None:
            parts.append(slide(above, emphasised(drawing.draw(item["before"])), kind="lm-question"))
        read = "".join(map(drawing.draw, item["after"]))
        if "widget" in item:
            about = f"<p>{escape(summaries().get(item['widget'], '').replace('`', ''))}</p>"
            link = f'<p><a class="lm-open" href="{there}">Open the {item["widget"]} in the chapter</a></p>'
            parts.append(slide(above, about, link, kind="lm-live"))
            if read:
                parts.append(slide(above, read, kind="lm-words"))
        else:
            figure = drawing.draw(item["figure"])
            parts.append(slide(above, figure, kind="lm-shown"))
            if read:
                parts.append(slide(above, f'<div class="lm-beside">{figure}<div>{read}</div></div>'))
    sheet = f'<a href="{chapter}-sheet.html">the assignment sheet</a>'
    whole = f'<a href="../chapters/{chapter}.html">the chapter</a>'
    parts.append(slide(f"<h2>To do</h2><p>{sheets()[chapter].contents}: {sheet}; {whole}. {BACK}.</p>"))
    about = '<footer>Arrow keys turn the slides, Esc shows all. <a href="?print">For printing</a></footer>'
    return f'<main><div class="reveal"><div class="slides">{"".join(parts)}</div></div></main>{about}'


def write_slides(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None
) -> None:
    chapter = pagename.rpartition("/")[2]
    if doctree is None or app.builder.format != "html" or chapter not in sheets():
        return
    title = next(iter(doctree.findall(nodes.title))).astext()
    folder = Path(app.outdir, FOLDER)
    folder.mkdir(exist_ok=True)
    text = document(title, slides(app, pagename, doctree), "slides")
    (folder / f"{chapter}-slides.html").write_text(text, encoding="utf-8")


def write_sheets(app: Sphinx, error: Exception | None) -> None:
    """Write sheets and keys, put reveal.js into the site, take away what belongs to no chapter any more."""
    if error or app.builder.format != "html":
        return
    folder = Path(app.outdir, FOLDER)
    folder.mkdir(exist_ok=True)
    written = set()
    for name, sheet in sheets().items():
        title = app.env.titles[f"chapters/{name}"].astext()
        for kind, body in (("sheet", sheet_body(sheet, title)), ("key", key_body(sheet, title))):
            (folder / f"{name}-{kind}.html").write_text(page(sheet, title, kind, body), encoding="utf-8")
        written |= {f"{name}-{kind}.html" for kind in ("sheet", "key", "slides")}
    for path in folder.iterdir():
        if path.name not in written:
            path.unlink()
    put_reveal(Path(app.outdir, "_static"))


def put_reveal(static: Path) -> None:
    version = reveal_version()
    for old in static.glob("reveal-*"):
        if old.name != f"reveal-{version}":
            shutil.rmtree(old)
    if version:
        place = static / f"reveal-{version}"
        place.mkdir(exist_ok=True)
        for name in ("dist/reveal.js", "dist/reveal.css", "LICENSE"):
            shutil.copyfile(REVEAL / name, place / Path(name).name)


def about_chapter(title: str, name: str) -> list[str]:
    """Return the row of a chapter: its title, what is there for it, the minutes of reading and exercises."""
    sheet = sheets()[name]
    links = ", ".join(
        f'<a href="../{FOLDER}/{name}-{kind}.html">{kind}</a>' for kind in ("slides", "sheet", "key")
    )
    points = sum(points for _, _, points in marks(name))
    times = [f"{reading()[name]:.0f}", f"{sheet.minutes}"]
    return [f'<a href="{name}.html">{escape(title)}</a>', links, *times, str(points)]


def about_kind(kind: str, count: int, points: int) -> list[str]:
    """Return the row of a kind of exercise: how many, the points of each and what for, all points."""
    each, reason = POINTS[kind]
    return [kind.capitalize(), str(count), str(each), words(reason), str(points)]


def hours(minutes: float) -> str:
    """Return minutes as hours and minutes: 155 → 2:35."""
    return f"{int(minutes) // 60}:{int(minutes) % 60:02}"


def table(heads: list[str], rows: list[list[str]]) -> nodes.raw:
    """Return a table whose cells are HTML."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    inside = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    html = f'<div class="pst-scrollable-table-container"><table class="table">{inside}</table></div>'
    return nodes.raw("", html, format="html")


def chapter_title(name: str) -> str:
    """Return a chapter's title as it stands in its notebook."""
    source = "".join(stored_cells(ROOT / "chapters" / f"{name}.ipynb")[0]["source"])
    return source.partition("\n")[0].lstrip("# ")


class CourseDirective(SphinxDirective):
    """What both lists need: they are made again when a chapter or its exercises change."""

    def depend(self) -> None:
        """Name the files that a list is made from."""
        for path in (*(ROOT / "lmbook" / "exercises").glob("*.toml"), *(ROOT / "chapters").glob("*.ipynb")):
            self.env.note_dependency(str(path))


class CourseMaterial(CourseDirective):
    """A table of the chapters with links to slides, sheet and key."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        self.depend()
        rows = [about_chapter(chapter_title(name), name) for name in sheets()]
        return [table(["Chapter", "Material", "Reading", "Exercises", "Points"], rows)]


class CoursePlan(CourseDirective):
    """A plan for as many weeks as its argument says."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table of the weeks."""
        self.depend()
        rows = []
        for week, names in enumerate(weeks(int(self.arguments[0])), 1):
            links = "<br>".join(f'<a href="{name}.html">{escape(chapter_title(name))}</a>' for name in names)
            exercises = sum(len(sheets()[name].exercises) for name in names)
            read, all_of_it = sum(reading()[name] for name in names), sum(map(total, names))
            rows.append([str(week), links, hours(read), str(exercises), hours(all_of_it)])
        return [table(["Week", "Chapters", "Reading", "Exercises", "Time in all"], rows)]


class CourseMarks(CourseDirective):
    """A plan for marks: the points of each kind of exercise, and of all."""

    def run(self) -> list[nodes.Node]:
        """Return the table of the kinds."""
        self.depend()
        found = marks()
        rows = [about_kind(*row) for row in found]
        sums = [str(sum(row[place] for row in found)) for place in (1, 2)]
        rows.append(["In all", sums[0], "", "", sums[1]])
        return [table(["Kind", "In the book", "Points each", "For", "Together"], rows)]


def setup(app: Sphinx) -> dict:
    app.add_directive("course-material", CourseMaterial)
    app.add_directive("course-plan", CoursePlan)
    app.add_directive("course-marks", CourseMarks)
    app.connect("html-page-context", write_slides)
    app.connect("build-finished", write_sheets)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
