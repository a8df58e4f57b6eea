"""How a report looks: on paper, on a phone, in the dark."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1a1a1a; --muted: #5f6368; --line: #dfe1e5;
  --soft: #f4f6f8; --blue: #0072b2; --wrong: #b84a00; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171c; --ink: #e8e8e8; --muted: #9aa0a8; --line: #323842; --soft: #1c2128;
    --blue: #56b4e9; --wrong: #ffa552; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
header, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.1rem; }
header { padding-top: 1.2rem; }
header p { margin: 0; color: var(--muted); font-size: .85rem; letter-spacing: .04em; }
nav { display: flex; flex-wrap: wrap; gap: .4rem 1rem; margin-top: .4rem; }
a { color: var(--blue); }
section { padding-bottom: 1.5rem; }
section + section { border-top: 1px solid var(--line); }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1.3rem 0 .2rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .2rem; }
.about { margin: 0; color: var(--muted); }
.missing { color: var(--muted); border-left: 3px solid var(--line); padding-left: .8rem; }
.numbers { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem;
  margin: 1.2rem 0; }
.numbers div { background: var(--soft); border-radius: .5rem; padding: .6rem .8rem; }
.numbers dt { color: var(--muted); font-size: .8rem; }
.numbers dd { margin: 0; font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.numbers small { display: block; color: var(--muted); font-size: .78rem; font-weight: 400;
  min-height: 1.2em; }
figure { margin: 1.4rem 0; overflow-x: auto; }
figure img, figure svg { display: block; max-width: 100%; height: auto; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
figure svg .dark { display: none; }
@media (prefers-color-scheme: dark) {
  figure svg .dark { display: inline; } figure svg .light { display: none; }
}
:is(.accuracy, .loss, .cv, .curves, .calibration) :is(img, svg) { width: min(100%, 44rem); }
:is(.compare, .weights, .confusion) :is(img, svg) { width: min(100%, 56rem); min-width: 34rem; }
.confusion :is(img, svg) { max-width: none; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 1rem;
  margin: .8rem 0 1.5rem; }
.gallery figure { margin: 0; overflow: visible; }
.gallery img { width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated;
  background: var(--soft); border-radius: .3rem; }
.gallery figcaption { font-size: .82rem; line-height: 1.35; margin-top: .3rem; }
.wrong { color: var(--wrong); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0 1rem; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
td, thead th { overflow-wrap: normal; min-width: 4rem; }
.facts td { overflow-wrap: anywhere; }
.facts th { white-space: nowrap; }
th { color: var(--muted); font-weight: 500; }
details { border-top: 1px solid var(--line); }
summary { cursor: pointer; padding: .7rem 0; font-weight: 600; }
footer { color: var(--muted); font-size: .8rem; padding-top: 1rem; padding-bottom: 2rem; }
@media print { details:not([open]) > *:not(summary) { display: block; } figure { break-inside: avoid; } }
"""
