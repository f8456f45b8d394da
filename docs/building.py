"""What `mkdocs build` does beside rendering docs/: the root's own pages join, and links that leave the site become names.

The pages are written to be read in the repository too, so their links are those of files. A link to a file that is no page
(a manifest, a program) leads nowhere in the site, and is shown as the file's path.
"""

import posixpath
import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT_PAGES = {
    "GETTING_STARTED.md": "getting-started.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "overview.md",
}
"""Files of the root, and what they are called in the site."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root's pages, with their links as they are from docs/."""
    for source, target in ROOT_PAGES.items():
        with open(posixpath.join(posixpath.dirname(config.config_file_path), source), encoding="utf-8") as page:
            files.append(File.generated(config, target, content=page.read()))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Rewrite the links of a page: from the file's place in the repository to the page's in the site."""
    uri = page.file.src_uri
    place = "" if uri in ROOT_PAGES.values() else posixpath.dirname(posixpath.join("docs", uri))

    def rewritten(found: re.Match[str]) -> str:
        image, words, target, anchor = found.groups()
        path = posixpath.normpath(posixpath.join(place, target))
        inside = ROOT_PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if inside is None or files.get_file_from_path(inside) is None:
            return f"`{path}`" if words.strip("`") in path else f"{words} (`{path}`)"
        here = posixpath.dirname(uri) or "."
        return f"{image}[{words}]({posixpath.relpath(inside, here)}{anchor or ''})"

    return outside_code(markdown, rewritten)


def outside_code(markdown: str, rewrite: Any) -> str:
    """The page with its links rewritten, and its fenced blocks as they were."""
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(rewrite, part) for part in parts)
