#pragma once
#include <septum/core/config.hpp>

#include <string_view>

namespace septum::inline SEPTUM_ABI::report::detail {

/// Style of the page: light and dark by the reader's setting or the button, and for print. Figures
/// are drawn for white paper; their ink is exchanged where the page is dark.
inline constexpr std::string_view page_style = R"css(
:root{--ground:#f6f7f8;--panel:#fff;--ink:#1b1f23;--soft:#5b6570;--rule:#d9dde2;--grid:#e4e4e4;
--axis:#555;--accent:#0072B2;--accent-ink:#fff;--warn:#b34700;color-scheme:light}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){--ground:#14171a;--panel:#1d2125;
--ink:#e8eaed;--soft:#a3abb5;--rule:#353b42;--grid:#333a41;--axis:#98a1ab;--accent:#56B4E9;
--accent-ink:#0b1116;--warn:#f0a868;color-scheme:dark}}
:root[data-theme=dark]{--ground:#14171a;--panel:#1d2125;--ink:#e8eaed;--soft:#a3abb5;
--rule:#353b42;--grid:#333a41;--axis:#98a1ab;--accent:#56B4E9;--accent-ink:#0b1116;--warn:#f0a868;
color-scheme:dark}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,"Segoe UI",Helvetica,Arial,sans-serif}
header.top{position:sticky;top:0;z-index:5;display:flex;gap:1rem;align-items:center;flex-wrap:wrap;
padding:.55rem 1.4rem;background:var(--panel);border-bottom:1px solid var(--rule)}
header.top b{font-size:1.02rem}
header.top nav{display:flex;gap:.9rem;flex-wrap:wrap;flex:1}
header.top a{color:var(--soft);text-decoration:none}
header.top a:hover,header.top a:focus{color:var(--accent);text-decoration:underline}
main{max-width:1180px;margin:0 auto;padding:1.2rem 1.4rem 4rem}
h1{font-size:1.55rem;margin:.3rem 0 .1rem;line-height:1.2}
h2{font-size:1.2rem;scroll-margin-top:3.4rem;margin:2.2rem 0 .6rem;padding-top:.4rem;border-top:1px solid var(--rule)}
p{max-width:74ch;margin:.4rem 0}
p.sub,figcaption,.note{color:var(--soft)}
button{font:inherit;color:var(--ink);background:var(--panel);border:1px solid var(--rule);
border-radius:6px;padding:.22rem .7rem;cursor:pointer}
button:hover{border-color:var(--accent)}
button[aria-pressed=true]{background:var(--accent);border-color:var(--accent);
color:var(--accent-ink)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.8rem;
margin:1rem 0}
.card{background:var(--panel);border:1px solid var(--rule);border-radius:8px;padding:.7rem .9rem}
.card .value{font-size:1.5rem;font-weight:600;line-height:1.2;font-variant-numeric:tabular-nums}
.card .label{color:var(--soft);font-size:.88rem}
.card .note{font-size:.8rem}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(520px,100%),1fr));gap:1rem}
figure{margin:0;background:var(--panel);border:1px solid var(--rule);border-radius:8px;
padding:.8rem;position:relative;min-width:0}
figure.wide{grid-column:1/-1}
figure svg{display:block;width:100%;height:auto}
figure.wide svg{max-height:82vh}
figure.tall svg{max-height:none}
figure.tall .body{max-height:82vh;overflow:auto}
figcaption{font-size:.9rem;margin-top:.5rem}
figure>button.save{position:absolute;right:.6rem;top:.6rem;font-size:.75rem;padding:.05rem .5rem;
opacity:0}
figure:hover>button.save,figure>button.save:focus{opacity:1}
figure svg>rect:first-of-type{fill:transparent}
figure svg text{fill:var(--ink)}
figure svg text[fill="#333"],figure svg text[fill="#777"]{fill:var(--soft)}
figure svg [stroke="#e4e4e4"]{stroke:var(--grid)}
figure svg [stroke="#555"]{stroke:var(--axis)}
figure svg [stroke="#000000"]{stroke:var(--ink)}
figure svg [data-track]{cursor:pointer}
figure svg.picked [data-track]{stroke-opacity:.14}
figure svg [data-track].picked{stroke-opacity:1!important;stroke-width:3.2!important}
.viewer{display:grid;grid-template-columns:minmax(0,1fr) 15rem;gap:1rem}
.stage{position:relative;margin:0 auto;background:#000;border-radius:6px;overflow:hidden;line-height:0}
.stage img,.stage canvas{width:100%;height:auto;image-rendering:pixelated;display:block}
.stage img.over{position:absolute;inset:0;height:100%;mix-blend-mode:normal;opacity:.62}
.stage svg{position:absolute;inset:0;width:100%;height:100%}
.stage path{fill:transparent;vector-effect:non-scaling-stroke;stroke-width:1.6;cursor:pointer}
.stage.filled path{fill-opacity:.72;stroke:#000;stroke-width:.7}
.stage path.picked{stroke:#fff!important;stroke-width:3.4}
.stage.plain path{stroke:none!important}
.stage.plain path.picked{stroke:#fff!important}
.bar{display:flex;gap:.5rem;align-items:center;flex-wrap:wrap;margin:.6rem 0}
.bar input[type=range]{flex:1;min-width:12rem;accent-color:var(--accent)}
.bar output{font-variant-numeric:tabular-nums;min-width:13rem}
.side dl{margin:.2rem 0;display:grid;grid-template-columns:auto 1fr;gap:.1rem .7rem}
.side dt{color:var(--soft)}
.side dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}
.ramp{height:.8rem;border-radius:3px;margin-top:.4rem}
.ramp-ends{display:flex;justify-content:space-between;font-size:.8rem;color:var(--soft)}
kbd{border:1px solid var(--rule);border-bottom-width:2px;border-radius:4px;padding:0 .35em;
font:.85em ui-monospace,monospace;background:var(--ground)}
.keys{font-size:.86rem;color:var(--soft);line-height:1.9}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(158px,1fr));gap:.8rem}
.gallery button{padding:.5rem;text-align:left;display:flex;flex-direction:column;width:100%}
.gallery img{width:100%;aspect-ratio:1;object-fit:contain;background:#000;display:block;
image-rendering:pixelated;border-radius:4px}
.gallery .why{color:var(--warn);font-weight:600;display:block;line-height:1.3;margin-top:.35rem}
.gallery small{color:var(--soft);display:block;line-height:1.35}
.table{overflow-x:auto}
table{border-collapse:collapse;background:var(--panel);border:1px solid var(--rule);min-width:min(26rem,100%);margin:.6rem 0}
th,td{padding:.32rem .7rem;text-align:left;border-bottom:1px solid var(--rule);
vertical-align:top;overflow-wrap:anywhere}
th{color:var(--soft);font-weight:600}
td.number,th.number{text-align:right}
td.number{font-variant-numeric:tabular-nums;white-space:nowrap}
details summary{cursor:pointer}
@media (max-width:820px){.viewer{grid-template-columns:1fr}}
@media print{
:root,:root[data-theme=dark]{--ground:#fff;--panel:#fff;--ink:#000;--soft:#444;--rule:#bbb;
--grid:#e4e4e4;--axis:#555;--accent:#0072B2;--warn:#8a3800;color-scheme:light}
body{font-size:10.5pt}
header.top,.bar,.keys,button.save{display:none!important}
main{max-width:none;padding:0}
h2{break-after:avoid}
figure,.card,.gallery button,tr{break-inside:avoid}
.figures{grid-template-columns:1fr 1fr}
.gallery{grid-template-columns:repeat(5,1fr)}
.viewer{grid-template-columns:3fr 1fr}
figure.tall .body{max-height:none;overflow:visible}
figure.wide svg{max-height:150mm}
figure.tall svg{max-height:205mm}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
)css";

}  // namespace septum::inline SEPTUM_ABI::report::detail
