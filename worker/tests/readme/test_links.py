"""Tests of the documents' relative links: each leads to a file, and each anchor to a heading."""

import os
import re

import pytest
from documents import DOCUMENTS, ROOT, anchors, links

OTHERS = ["ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"]


@pytest.mark.parametrize("document", [*DOCUMENTS, *OTHERS])
def test_relative_links_and_anchors_resolve(document):
    broken = []
    for link in links(document):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (
            os.path.normpath(os.path.join(os.path.dirname(document), path)) if path else document
        )
        if not (ROOT / target).exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken, f"{document} has broken links: {broken}"


def test_every_page_can_be_reached_from_the_readme():
    reached, queue = set(), ["README.md"]
    while queue:
        document = queue.pop()
        if document in reached or not document.endswith(".md"):
            continue
        reached.add(document)
        paths = [
            link.partition("#")[0] for link in links(document) if not re.match(r"[a-z]+:|#", link)
        ]
        queue += [os.path.normpath(os.path.join(os.path.dirname(document), path)) for path in paths]
    assert set(DOCUMENTS) <= reached, set(DOCUMENTS) - reached


def test_the_readmes_link_each_other_in_their_first_lines():
    first = {
        name: (ROOT / name).read_text().splitlines()[0] for name in ("README.md", "README.zh-CN.md")
    }
    assert "(README.zh-CN.md)" in first["README.md"] and "(README.md)" in first["README.zh-CN.md"]
