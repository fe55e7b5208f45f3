"""Mathematics as MathML, written when the book is built.

A page needs no script for it, screen readers read it, and invalid TeX is a warning, which fails the build.
"""

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)
CONVERTER = LatexToMathML(fancy_error=False)


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


def setup(app: Sphinx) -> dict:
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
