"""The style sheet of the curve's page: light and dark, from 320 pixels up, in the page itself."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--paper:#fff;--card:#f6f8fa;
--better:#0a6b3d;--worse:#b3261e;--open:#7a5200;--s0:#1f5fbf;--s1:#a8480f;--s2:#6b3fa0;--s3:#0b6e72}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#a3adb8;--line:#3a424c;--paper:#12161b;--card:#1b2027;
--better:#5fd39a;--worse:#ff8b82;--open:#f0c060;--s0:#7db2ff;--s1:#ffa666;--s2:#c6a4ff;--s3:#6fd6da}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:72rem;margin:0 auto;padding:1.25rem 1rem 3rem}
h1{font-size:1.35rem;line-height:1.3;margin:.2rem 0 .6rem}
h2{font-size:1.1rem;margin:2rem 0 .4rem;padding-bottom:.25rem;border-bottom:1px solid var(--line)}
h3{font-size:.95rem;margin:0 0 .2rem;font-weight:600}
p,ul{margin:.4rem 0}
ul{padding-left:1.2rem}
h1,h2,h3,p,li,td,th,code{overflow-wrap:anywhere}
.soft{color:var(--soft)}
.answers{list-style:none;padding:0;display:grid;gap:.5rem;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr))}
.answers li{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem}
.answers .who{display:block;color:var(--soft);font-size:.85rem}
.charts{display:grid;gap:1rem 1.5rem;grid-template-columns:repeat(auto-fit,minmax(19rem,1fr))}
figure{margin:0}
.wide{max-width:34rem}
svg{display:block;width:100%;height:auto}
svg text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--ink)}
svg text.faint{fill:var(--soft)}
svg g text{fill:currentColor}
.grid{stroke:var(--line)}
figure h3{color:var(--ink)}
.none{stroke:var(--soft)}
.s0{color:var(--s0)}.s1{color:var(--s1)}.s2{color:var(--s2)}.s3{color:var(--s3)}
.better{color:var(--better)}.worse{color:var(--worse)}.open{color:var(--open)}.no-data{color:var(--soft)}
td.better,td.worse{font-weight:600}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums;min-width:100%}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top;overflow-wrap:normal}
td{white-space:nowrap}
th:first-child,td:first-child{text-align:left}
.wordy td{white-space:normal;min-width:5rem}
.wordy td:last-child,.wordy th:last-child{text-align:left;min-width:15rem}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom}
@media print{main{max-width:none}}
"""
