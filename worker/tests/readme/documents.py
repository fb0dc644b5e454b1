"""The documents under test, and a small parser of their Markdown."""

import pathlib
import re
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[3]
# The documents that are for users, as paths below the root.
PAGES = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ["README.md", "README.zh-CN.md", *PAGES]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced code block."""

    document: str
    language: str
    text: str


def _read(document: str) -> str:
    return (ROOT / document).read_text()


def blocks_of(document: str) -> list[Block]:
    """Every code block of a document, in order."""
    return [Block(document, language, text) for language, text in _FENCE.findall(_read(document))]


def _prose(document: str) -> str:
    """A document without its code blocks."""
    return _FENCE.sub("", _read(document))


def inline_code(document: str) -> list[str]:
    """Every piece of inline code, with its line breaks as blanks."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", _prose(document))]


def links(document: str) -> list[str]:
    """Every target of a link or picture, in Markdown or HTML."""
    prose = re.sub(r"`[^`\n]*`", "`", _prose(document))
    return re.findall(r"\]\(([^()\s]+)\)", prose) + re.findall(r'(?:src|href)="([^"]+)"', prose)


def anchors(document: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    found: list[str] = []
    for heading in re.findall(r"^#+ +(.+)$", _prose(document), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        count = sum(
            re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other) is not None for other in found
        )
        found.append(f"{anchor}-{count}" if count else anchor)
    return set(found)
