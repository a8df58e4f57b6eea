"""One SVG inside a page for light and for dark: what differs between the two are CSS variables.

A figure that is drawn in both themes has the same shapes in both, so the two files differ in colours, in
bitmaps (a colour map's), and in names that are made from them.
"""

from __future__ import annotations

import re

_DIFFERS = re.compile(r'(?<=: )#[0-9a-f]{6}(?=[;"])|<image [^>]*>')
_NAME = re.compile(r"(?<=[\"#])(?:[mp]|C[0-9a-f]+_[0-9a-f]+_|image)[0-9a-f]{10}")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LONG = re.compile(r"(\.\d\d)\d+")  # a hundredth of a point is enough of a place
_PAIR = re.compile(r"var\(--([0-9a-f]{6})-([0-9a-f]{6})\)")


def inline_svg(light: bytes, dark: bytes, alt: str) -> str | None:
    """The element of both figures, as matplotlib wrote them; None where more than colours differ.

    ``alt``: what it shows, escaped. Text in it is drawn, and comments are left out: nothing in it is markup.
    """
    one, other = (_bare(content) for content in (light, dark))
    between, others = _DIFFERS.split(one), _DIFFERS.split(other)
    if [_NAME.sub("", part) for part in between] != [_NAME.sub("", part) for part in others]:
        return None
    pairs = zip(_DIFFERS.findall(one), _DIFFERS.findall(other), strict=True)
    merged = [
        part + either for part, either in zip(between, [*(_either(*pair) for pair in pairs), ""], strict=True)
    ]
    return _without_idle_names("".join(merged)).replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)


def theme_style(page: str) -> str:
    """What the variables of a page's figures are in light, and in dark."""
    pairs = sorted(set(_PAIR.findall(page)))
    lights, darks = (
        "".join(f"--{a}-{b}:#{pair[dark]};" for pair in pairs for a, b in [pair]) for dark in (0, 1)
    )
    return (
        f":root {{ {lights} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {darks} }} }}\n"
        if pairs
        else ""
    )


def _bare(content: bytes) -> str:
    """The svg element without what a file needs and a page does not, its paths a little rounder."""
    text = _COMMENT.sub("", content.decode())
    text = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>", "", text[text.index("<svg") :], flags=re.DOTALL
    )
    text = re.sub(r' (?:xmlns(?::xlink)?|version)="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r' d="[^"]*"', lambda found: " ".join(_LONG.sub(r"\1", found[0]).split("\n")), text)
    return re.sub(r">\s+<", "><", text).strip()


def _either(light: str, dark: str) -> str:
    if light == dark:
        return light
    if light.startswith("#"):
        return f"var(--{light[1:]}-{dark[1:]})"
    return light.replace("<image", "<image class=light") + dark.replace("<image", "<image class=dark")


def _without_idle_names(text: str) -> str:
    """Names that nothing refers to would only stand there twice, in a page of several figures."""
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    return re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
