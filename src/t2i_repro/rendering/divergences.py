"""`docs/divergences.md` for the site: its sections as HTML, by paper."""

import re
from dataclasses import dataclass, field
from html import escape

INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<strong>.+?)\*\*|\*(?P<em>[^*\s](?:[^*]*[^*\s])?)\*")


@dataclass
class Entry:
    """A heading, its anchor, and the text below it. ``entries``: the headings one level below."""

    title: str
    anchor: str
    lines: list[str] = field(default_factory=list)
    entries: list["Entry"] = field(default_factory=list)

    @property
    def html(self) -> str:
        """The text as HTML, escaped."""
        return blocks(self.lines)

    def about(self, paper: str) -> "Entry | None":
        """The part that is about a paper, going by headings; None if there is none."""
        if names(self.title, paper):
            return self
        kept = [entry for entry in self.entries if names(entry.title, paper)]
        return Entry(self.title, self.anchor, [], kept) if kept else None


def read_divergences(text: str) -> list[Entry]:
    """Parse sections (``##``) with their entries (``###``). Skips text before the first section."""
    sections: list[Entry] = []
    for line in text.splitlines():
        if line.startswith("## "):
            sections.append(Entry(line[3:].strip(), slug(line[3:])))
        elif line.startswith("### ") and sections:
            title = line[4:].strip()
            sections[-1].entries.append(Entry(title, f"{sections[-1].anchor}-{slug(title)}"))
        elif sections:
            (sections[-1].entries or sections)[-1].lines.append(line)
    return sections


def slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def names(title: str, paper: str) -> bool:
    """Whether a heading names a paper: `SSA-GAN` and `DAMSM (AttnGAN; appendix of SSA-GAN)` name ssa-gan."""
    return re.search(rf"(?<![\w-]){re.escape(paper)}(?![\w-])", title, re.IGNORECASE) is not None


def blocks(lines: list[str]) -> str:
    """Convert paragraphs and flat lists, the only Markdown blocks that the document uses, to HTML."""
    items: list[tuple[bool, str]] = []
    fresh = True
    for line in lines:
        if not line.strip():
            fresh = True
        elif line.startswith("- "):
            items.append((True, line[2:].strip()))
            fresh = False
        elif fresh:
            items.append((False, line.strip()))
            fresh = False
        else:
            listed, text = items[-1]
            items[-1] = (listed, f"{text} {line.strip()}")
    html, in_list = "", False
    for listed, text in items:
        if listed != in_list:
            html += "<ul>\n" if listed else "</ul>\n"
            in_list = listed
        html += f"<li>{inline(text)}</li>\n" if listed else f"<p>{inline(text)}</p>\n"
    return html + ("</ul>\n" if in_list else "")


def inline(text: str) -> str:
    """Convert code, bold and emphasis to HTML."""
    html, end = "", 0
    for found in INLINE.finditer(text):
        tag, inner = found.lastgroup or "", found[found.lastgroup or 0]
        html += escape(text[end : found.start()])
        html += f"<{tag}>{escape(inner) if tag == 'code' else inline(inner)}</{tag}>"
        end = found.end()
    return html + escape(text[end:])
