"""Drawings of the two graphs as Mermaid text, made from the compiled graphs themselves.

The README shows them between ``<!-- graph:NAME -->`` marks; a test compares. It knows nothing of what the nodes do.
"""

from __future__ import annotations

from agent.graph import chunk_graph, turn_graph

NAMES = ("chunk", "turn")


def mermaid(name: str) -> str:
    """The drawing of the "chunk" or the "turn" graph."""
    compiled = chunk_graph({}).compile() if name == "chunk" else turn_graph({}).compile()
    return str(compiled.get_graph().draw_mermaid()).strip()


def marked(name: str) -> str:
    """What the README must hold for this graph: the marks and, between them, a fenced drawing."""
    return f"<!-- graph:{name} -->\n```mermaid\n{mermaid(name)}\n```\n<!-- /graph:{name} -->"


def refreshed(readme: str) -> str:
    """The README's text with its drawings made anew; text without the marks comes back as it was."""
    for name in NAMES:
        begin, end = f"<!-- graph:{name} -->", f"<!-- /graph:{name} -->"
        before, found, rest = readme.partition(begin)
        _, closed, after = rest.partition(end)
        if found and closed:
            readme = before + marked(name) + after
    return readme
