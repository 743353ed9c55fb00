"""Hook of mkdocs: pages that lie elsewhere in the repository, and links from pages into it.

Links are written for a reader of the repository. On the site, one to a file that is a page there
leads to that page; one to another file of the repository becomes its text. A link to nothing stays
as it is, so that the strict build refuses it.
"""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ELSEWHERE = {
    "CONTRIBUTING.md": "develop/contributing.md",
    "CHANGELOG.md": "develop/changelog.md",
    "deploy/README.md": "operate/manifests.md",
    "deploy/helm/seedstream/README.md": "operate/helm.md",
    "deploy/images/README.md": "operate/images.md",
    "deploy/monitoring/README.md": "operate/monitoring.md",
}
"""File of the repository -> page of the site."""

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie outside the folder of pages."""
    root = Path(config["config_file_path"]).parent
    for source, page in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=str(root / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links into the repository into links between pages, or into text."""
    root = Path(config["config_file_path"]).parent
    here = Path(page.file.abs_src_path).parent

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        if ":" in target:
            return match[0]
        path = Path(os.path.normpath(here / target))
        if not path.exists() or root not in path.parents:
            return match[0]
        inside = path.relative_to(root).as_posix()
        found = ELSEWHERE.get(inside, inside.removeprefix("docs/"))
        if files.get_file_from_path(found) is None:
            return text
        start = Path(page.file.src_uri).parent
        return f"[{text}]({os.path.relpath(found, start)}{anchor})"

    return _LINK.sub(link, markdown)
