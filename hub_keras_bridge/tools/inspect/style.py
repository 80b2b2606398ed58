"""How the page of a module looks: on a screen, wide or narrow, light or dark, and on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff;
  --ink: #1c2128;
  --quiet: #59636e;
  --line: #d5dae0;
  --bar: #2f6fb0;
  --bar-fixed: #7d95af;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181c;
    --ink: #e4e7eb;
    --quiet: #9aa5b1;
    --line: #333a43;
    --bar: #6aa5de;
    --bar-fixed: #5b7690;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto;
  max-width: 64rem;
  padding: 2.5rem 1.5rem 4rem;
  background: var(--paper);
  color: var(--ink);
  font: 0.9375rem/1.5 system-ui, sans-serif;
}
code { font: 0.9em/1.5 ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; }
code, h1, .quiet, summary, .ops thead th { overflow-wrap: anywhere; }
p { margin: 0.25rem 0; }
.quiet, caption, dt, thead th, footer { color: var(--quiet); }

h1 { margin: 0; font-size: 1.75rem; line-height: 1.25; font-weight: 650; }
h2 { margin: 2.75rem 0 0.75rem; font-size: 1.1875rem; font-weight: 650; }
h3 { margin: 1.5rem 0 0.25rem; font-size: 1rem; font-weight: 600; }
h3 code { font-size: 1em; }
h3 .quiet { font-size: 0.8125rem; font-weight: 400; }

dl {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr));
  gap: 1.25rem 2rem;
  margin: 1.75rem 0 0;
  padding: 1.125rem 0;
  border-block: 1px solid var(--line);
}
dt { font-size: 0.8125rem; }
dd { margin: 0; font-size: 1.375rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
dd .quiet { display: block; font-size: 0.8125rem; line-height: 1.4; }

table { width: 100%; border-collapse: collapse; }
caption, .caption { padding-bottom: 0.25rem; text-align: left; font-size: 0.8125rem; }
th, td { padding: 0.25rem 1rem 0.25rem 0; text-align: left; vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
th { font-weight: inherit; }
thead th { font-size: 0.8125rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
tbody tr + tr > * { border-top: 1px solid var(--line); }
tbody .quiet { font-size: 0.8125rem; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }

.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0.75rem 3rem; align-items: start; }
.pair > * { min-width: 0; table-layout: fixed; }
.pair th:first-child { width: 58%; }
.whole { white-space: nowrap; }

.chart {
  display: grid;
  grid-template-columns: fit-content(45%) 1fr auto auto;
  gap: 0.375rem 1.25rem;
  margin: 0;
  padding: 0;
  list-style: none;
}
.chart li {
  display: grid;
  grid-column: 1 / -1;
  grid-template-columns: subgrid;
  align-items: center;
  break-inside: avoid;
}
.chart svg { display: block; width: 100%; height: 0.875rem; }
.chart .count { grid-area: 1 / -3; }
.chart .share { grid-area: 1 / -2; color: var(--quiet); }
.trained { fill: var(--bar); }
.fixed { fill: var(--bar-fixed); }
.legend { display: flex; gap: 1.25rem; font-size: 0.8125rem; }
.legend svg { width: 0.75rem; height: 0.75rem; margin-right: 0.375rem; vertical-align: -0.0625rem; }

.rows { border-top: 1px solid var(--line); }
.rows > * { margin: 0; padding: 0.3125rem 0; border-bottom: 1px solid var(--line); }
code + .quiet { margin-left: 0.25rem; }
summary { cursor: pointer; }
summary:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
details > :not(summary) { margin: 0.5rem 0 0.75rem 1.125rem; width: calc(100% - 1.125rem); }
/* The summary says it already; for those who cannot see it stands above. */
details caption { position: absolute; width: 1px; overflow: hidden; clip-path: inset(50%); }
.list { padding-left: 1.125rem; }
.ops { max-width: 36rem; }
.ops thead th { white-space: normal; }

footer { margin-top: 3.5rem; font-size: 0.8125rem; }

@media (max-width: 40rem) {
  body { padding: 1.5rem 1rem 3rem; font-size: 0.875rem; }
  h1 { font-size: 1.4375rem; }
  dl { grid-template-columns: 1fr 1fr; gap: 1rem; }
  dd { font-size: 1.1875rem; }
  .pair { grid-template-columns: minmax(0, 1fr); }
  th, td { padding-right: 0.625rem; }
  .chart { grid-template-columns: 1fr auto auto; gap: 0 0.75rem; }
  .chart li { row-gap: 0.125rem; padding: 0.3125rem 0; }
  .chart svg { grid-area: 2 / 1 / 3 / -1; height: 0.5rem; }
}

@media print {
  :root {
    color-scheme: light;
    --paper: #ffffff;
    --ink: #000000;
    --quiet: #444444;
    --line: #bbbbbb;
    --bar: #2f6fb0;
    --bar-fixed: #7d95af;
  }
  @page { margin: 1.6cm 1.5cm; }
  body { max-width: none; padding: 0; font-size: 9pt; }
  h1 { font-size: 16pt; }
  h2 { font-size: 12pt; margin-top: 18pt; }
  h1, h2, h3, caption, summary { break-after: avoid; }
  tr, dl, .chart li { break-inside: avoid; }
  .chart { gap: 2pt 10pt; }
  .pair { column-gap: 18pt; }
  /* What is folded on a screen is open on paper, which cannot be clicked. */
  details::details-content { content-visibility: visible; display: block; height: auto; }
  summary { list-style: none; }
}
"""
