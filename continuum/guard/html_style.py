"""The style sheet of the report's page: light and dark, from 320 pixels up, in the page itself."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--paper:#fff;--card:#f6f8fa;
--passed:#0a6b3d;--regressed:#b3261e;--undecided:#7a5200;--limit:#1b1f24}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#a3adb8;--line:#3a424c;--paper:#12161b;--card:#1b2027;
--passed:#5fd39a;--regressed:#ff8b82;--undecided:#f0c060;--limit:#e6e9ee}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:68rem;margin:0 auto;padding:1.25rem 1rem 3rem}
h1{font-size:1.35rem;line-height:1.3;margin:.2rem 0 .6rem}
h2{font-size:1.1rem;margin:2rem 0 .4rem;padding-bottom:.25rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
p,ul{margin:.4rem 0}
ul{padding-left:1.2rem}
h1,h2,h3,p,li,td,th,dd,dt,blockquote,.label,code{overflow-wrap:anywhere}
.soft{color:var(--soft)}
.badge{display:inline-block;padding:.15rem .7rem;border:2px solid currentColor;border-radius:.4rem;font-weight:700}
.approved,.passed{color:var(--passed)}
.blocked,.regressed{color:var(--regressed)}
.inconclusive,.undecided{color:var(--undecided)}
.no-data{color:var(--soft)}
.plot{margin:.6rem 0 0;padding:0;list-style:none}
.row{display:grid;grid-template-columns:13rem minmax(8rem,1fr) 12.5rem 8.2rem;gap:0 .8rem;align-items:center;
border-top:1px solid transparent}
.strip{display:block;overflow:visible}
.value{font-variant-numeric:tabular-nums;font-size:.9rem}
.outcome{font-weight:600;font-size:.9rem;white-space:nowrap}
.limit{color:var(--limit)}
.floor{color:var(--soft)}
.hollow{fill:var(--paper)}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;padding:0;list-style:none;font-size:.85rem;color:var(--soft)}
.legend svg{vertical-align:middle}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;min-width:100%}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top;overflow-wrap:normal}
th:first-child,td:first-child{text-align:left;min-width:9rem}
thead th{color:var(--soft);font-weight:600}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem;margin:.7rem 0}
.card p{margin:.35rem 0}
.who{display:block;color:var(--soft);font-size:.85rem}
dl{display:grid;grid-template-columns:minmax(7rem,14rem) 1fr;gap:.2rem 1rem;font-size:.9rem;margin:.5rem 0}
dt{color:var(--soft)}
dd{margin:0}
code{font:.85em/1.4 ui-monospace,Menlo,Consolas,monospace}
details{margin:.6rem 0}
summary{cursor:pointer}
@media (max-width:46rem){.row{grid-template-columns:1fr auto;padding:.45rem 0 .2rem;border-top-color:var(--line)}
.row .strip-cell{grid-column:1/-1;order:3}.row .value{grid-column:1/-1;order:4}.row .outcome{order:2}
.row.axis{padding:0;border:0}dl{grid-template-columns:1fr}dt{margin-top:.4rem}}
@media print{details>*{display:block}}
"""
