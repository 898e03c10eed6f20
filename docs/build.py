"""Builds the documentation site: a page for each task, the records, the examples, and the API reference.

    python docs/build.py [OUT]        (OUT is build/site if not given)

Pages are Markdown in docs/ and in the root; python-markdown turns them into HTML inside `template.html`. The API
reference is pdoc's, from the docstrings. The site needs no network: it loads nothing from elsewhere.
"""

from __future__ import annotations

import pkgutil
import re
import shutil
import sys
import warnings
from html import escape
from pathlib import Path
from string import Template

import markdown
import pdoc

import mien

DOCS = Path(__file__).parent
ROOT = DOCS.parent

# The pages in reading order, by their place below the root.
TASKS = (
    "index",
    "first-photo",
    "own-classes",
    "tutorial",
    "audit",
    "compare",
    "export",
    "web-app",
    "http-api",
    "browser",
    "many-files",
    "training-on-many",
)
ABOUT = ("MODEL_CARD", "RECORDS", "EXPERIMENTS", "CHANGELOG", "CONTRIBUTING")
PAGES = {name: DOCS / f"{name}.md" for name in TASKS} | {name.lower(): ROOT / f"{name}.md" for name in ABOUT}
COPIED = (DOCS / "figures", ROOT / "examples", ROOT / "notebooks")

NOT_API = ("mien.cli", "mien.serve", "mien.__main__")  # what programs are written with is documented; these are run


def title(text: str) -> str:
    """A page's first heading."""
    return text.partition("\n")[0].removeprefix("# ")


def navigation(here: str) -> str:
    """The list of pages, the one that is shown marked."""

    def item(name: str) -> str:
        current = ' aria-current="page"' if name == here else ""
        return f'<li><a href="{name}.html"{current}>{escape(title(PAGES[name].read_text(encoding="utf-8")))}</a></li>'

    tasks = "\n".join(item(name) for name in TASKS)
    about = "\n".join(item(name.lower()) for name in ABOUT)
    return f'<ul>\n{tasks}\n</ul>\n<ul>\n<li><a href="api/index.html">API reference</a></li>\n{about}\n</ul>'


def target(link: str) -> str:
    """Where a link between files of the repository leads in the site, in which all pages lie side by side."""
    path, hash_, anchor = link.removeprefix("../").removeprefix("docs/").partition("#")
    if path.endswith(".md"):
        name = Path(path).stem.lower()
        path = f"{'index' if name == 'readme' else name}.html"
    return path + hash_ + anchor


def render(name: str) -> str:
    """One page as HTML."""
    text = PAGES[name].read_text(encoding="utf-8")
    body = markdown.markdown(text, extensions=["fenced_code", "tables", "toc", "sane_lists"])
    body = re.sub(r'(href|src)="(?![a-z]+:|#)([^"]+)"', lambda link: f'{link[1]}="{target(link[2])}"', body)
    template = Template((DOCS / "template.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(title(text)), nav=navigation(name), body=body)


def build(out: Path) -> None:
    """Write the site into `out`, which is emptied first if it holds an earlier one."""
    if out.exists():
        if any(out.iterdir()) and not (out / "first-photo.html").exists():
            raise SystemExit(f"{out}: holds something other than this site; name a new folder")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    for name in PAGES:
        (out / f"{name}.html").write_text(render(name), encoding="utf-8")
    shutil.copy(DOCS / "style.css", out)
    for folder in COPIED:
        shutil.copytree(folder, out / folder.name, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    for name in mien.__all__:
        setattr(mien, name, getattr(mien, name))  # pdoc takes names that are fetched when used for modules
    modules = (module.name for module in pkgutil.walk_packages(mien.__path__, "mien."))
    public = [name for name in modules if not name.startswith(NOT_API) and "._" not in name]
    pdoc.render.configure(docformat="markdown", footer_text="Mien", search=True, show_source=False)
    warnings.filterwarnings(
        "ignore", "The module specification"
    )  # some packages bring their modules along, some do not
    pdoc.pdoc("mien", *public, output_directory=out / "api")


if __name__ == "__main__":
    site = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build/site"
    build(site)
    print(site / "index.html")
