// Line figures drawn as SVG in the reports' style: a scale, a grid, lines, and the values under the pointer.
"use strict";
const figures = (() => {
  const WIDTH = 440, HEIGHT = 270, LEFT = 58, RIGHT = 12, TOP = 12, BOTTOM = 40;
  const NS = "http://www.w3.org/2000/svg";

  const svg = (name, attributes, ...inside) => {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...inside);
    return node;
  };

  const html = (name, attributes = {}, ...inside) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key in node && key !== "role") node[key] = value; else node.setAttribute(key, value);
    }
    node.append(...inside);
    return node;
  };

  const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  const number = (value, digits = 3) => {
    if (value === null || Number.isNaN(value)) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e5 || size < 1e-3) {
      const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
      const power = [...String(Number(exponent))].map((c) => SUPERSCRIPTS[c]).join("");
      return Number(mantissa) === 1 ? `10${power}` : `${Number(mantissa)} · 10${power}`;
    }
    return Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 6 });
  };

  // Value to pixel on one axis; at least a decade on a logarithmic one, so that a flat curve looks flat.
  const scale = (values, start, end, log, tight) => {
    const inner = (v) => (log ? Math.log10(v) : v);
    const seen = values.filter((v) => v !== null && Number.isFinite(v) && (v > 0 || !log)).map(inner);
    let low = Math.min(...seen), high = Math.max(...seen);
    if (!seen.length) [low, high] = log ? [-1, 0] : [0, 1];
    const short = tight ? 0 : log ? Math.max(0, 1 - (high - low)) / 2 + 0.04 * (high - low) : 0.04 * (high - low) || 0.05 * Math.max(Math.abs(high), 1e-9);
    low -= short;
    high += short;
    if (high === low) high = low + 1;
    const at = (v) => {
      const share = log && v <= 0 ? 0 : (inner(v) - low) / (high - low);
      return Math.round((start + Math.min(1.02, Math.max(-0.02, share)) * (end - start)) * 10) / 10;
    };
    const ticks = (most) => {
      if (log) {
        const decades = [];
        const [first, last] = [Math.ceil(low - 1e-9), Math.floor(high + 1e-9)];
        const step = Math.max(1, Math.ceil((last - first + 1) / most));
        for (let e = first; e <= last; e++) if (e % step === 0) decades.push(10 ** e);
        if (decades.length >= 2) return decades;
        const within = [];
        for (let e = first - 1; e <= last; e++) for (const m of [1, 2, 5]) within.push(m * 10 ** e);
        return within.filter((v) => Math.log10(v) >= low && Math.log10(v) <= high);
      }
      const span = (high - low) / most, base = 10 ** Math.floor(Math.log10(span));
      const step = [1, 2, 5, 10].map((m) => m * base).find((s) => s >= span);
      const found = [];
      for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
      return found;
    };
    return { at, ticks };
  };

  const path = (points, fx, fy, log) => {
    let text = "", pen = "M";
    for (const [x, y] of points) {
      if (y === null || !Number.isFinite(y) || (log && y <= 0)) { pen = "M"; continue; }
      text += `${pen}${fx(x)} ${fy(y)}`;
      pen = "L";
    }
    return text;
  };

  const key = (s) => html("span", { className: "key" }, svg("svg", { class: "swatch", viewBox: "0 0 22 10", "aria-hidden": "true" },
    svg("path", { class: `line ${s.style}`, d: "M0 5H22" })), s.name);

  // draw(figure, {title, caption, xName, log, logX, series: [{name, style, points: [[x, y, note]], faint, cross, dots, band}], empty})
  const draw = (figure, spec) => {
    const known = figure.dataset.title === spec.title;
    if (!known) {
      figure.dataset.title = spec.title;
      const canvas = html("div", { className: "canvas" });
      const tip = html("div", { className: "tip", hidden: true, role: "status" });
      canvas.append(tip);
      figure.replaceChildren(html("figcaption", {}, html("strong", { textContent: spec.title }), " ", html("span")), canvas, html("div", { className: "legend" }));
    }
    figure.querySelector("figcaption span").textContent = spec.caption;
    const canvas = figure.querySelector(".canvas"), tip = canvas.querySelector(".tip");
    const drawn = spec.series.filter((s) => s.points.some(([, y]) => y !== null));
    canvas.querySelector("svg, .empty")?.remove();
    figure.querySelector(".legend").replaceChildren(...drawn.filter((s) => !s.faint).map(key));
    if (!drawn.length) {
      tip.hidden = true;
      canvas.prepend(html("p", { className: "empty", textContent: spec.empty }));
      return;
    }
    const xs = drawn.flatMap((s) => s.points.map(([x]) => x));
    const near = drawn.flatMap((s) => [...s.points.map(([, y]) => y), ...(s.band || []).flatMap(([, low, high]) => [low, high])]);
    const fx = scale(xs, LEFT, WIDTH - RIGHT, spec.logX, !spec.logX), fy = scale(near, HEIGHT - BOTTOM, TOP, spec.log, false);
    const grid = svg("g", { class: "grid" });
    for (const tick of fy.ticks(6)) {
      const y = fy.at(tick);
      grid.append(svg("path", { d: `M${LEFT} ${y}H${WIDTH - RIGHT}` }), svg("text", { x: LEFT - 7, y: y + 4, "text-anchor": "end" }, number(tick)));
    }
    const wanted = spec.xTicks || fx.ticks(7).filter((t) => spec.logX || t === Math.round(t));
    for (const tick of wanted) grid.append(svg("text", { x: fx.at(tick), y: HEIGHT - BOTTOM + 17, "text-anchor": "middle" }, number(tick)));
    grid.append(svg("text", { class: "axis", x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, spec.xName));
    const image = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: "0", "aria-label": `${spec.title}. ${spec.caption}` }, grid);
    for (const s of drawn) {
      if (!s.band || s.band.length < 2) continue;
      const there = s.band.map(([x, , high]) => `${fx.at(x)} ${fy.at(high)}`).join("L");
      const back = [...s.band].reverse().map(([x, low]) => `${fx.at(x)} ${fy.at(low)}`).join("L");
      image.append(svg("path", { class: `band ${s.style}`, d: `M${there}L${back}Z` }));
    }
    for (const s of [...drawn].sort((a, b) => Boolean(b.faint) - Boolean(a.faint))) {
      image.append(svg("path", { class: `line ${s.style}${s.faint ? " faint" : ""}`, d: path(s.points, fx.at, fy.at, spec.log) }));
      const last = s.points.filter(([, y]) => y !== null && (y > 0 || !spec.log)).at(-1);
      if (s.cross && last) image.append(svg("path", { class: `cross ${s.style}`, d: `M${fx.at(last[0]) - 4} ${fy.at(last[1]) - 4}l8 8m0 -8l-8 8` }));
      if (s.dots || s.points.length === 1) {
        for (const [x, y] of s.points) if (y !== null && (y > 0 || !spec.log)) image.append(svg("circle", { class: `point ${s.style}`, cx: fx.at(x), cy: fy.at(y), r: s.dots ? 3 : 2.4 }));
      }
    }
    const layer = svg("g", { "aria-hidden": "true" });
    image.append(layer);
    canvas.prepend(image);
    follow(canvas, image, layer, tip, drawn.filter((s) => !s.faint), fx, fy, spec);
  };

  // What is under the pointer (or the arrow keys) is told; it survives the next drawing.
  const follow = (canvas, image, layer, tip, series, fx, fy, spec) => {
    const places = [...new Set(series.flatMap((s) => s.points.map(([x]) => x)))].sort((a, b) => a - b);
    if (!places.length) return;
    const show = (i) => {
      const x = places[Math.max(0, Math.min(places.length - 1, i))];
      canvas.dataset.at = x;
      layer.replaceChildren(svg("path", { class: "cursor", d: `M${fx.at(x)} ${TOP}V${HEIGHT - BOTTOM}` }));
      tip.replaceChildren(html("b", { textContent: `${spec.xName} ${number(x, 6)}` }));
      for (const s of series) {
        const point = s.points.find((p) => p[0] === x);
        if (!point || point[1] === null) continue;
        if (point[1] > 0 || !spec.log) layer.append(svg("circle", { class: `ring ${s.style}`, cx: fx.at(x), cy: fy.at(point[1]), r: 4 }));
        tip.append(html("div", { textContent: `${s.name}: ${number(point[1], 4)}${point[2] ? ` (${point[2]})` : ""}` }));
      }
      tip.hidden = false;
      const left = (fx.at(x) * image.clientWidth) / WIDTH;
      tip.style.left = `${left + 12 + tip.offsetWidth > canvas.clientWidth ? Math.max(0, left - 12 - tip.offsetWidth) : left + 12}px`;
    };
    const hide = () => { delete canvas.dataset.at; tip.hidden = true; layer.replaceChildren(); };
    const nearest = (x) => places.reduce((best, p, i) => (Math.abs(fx.at(p) - x) < Math.abs(fx.at(places[best]) - x) ? i : best), 0);
    const pointed = (event) => {
      const box = image.getBoundingClientRect();
      show(nearest(((event.clientX - box.left) * WIDTH) / box.width));
    };
    image.addEventListener("pointermove", pointed);
    image.addEventListener("pointerdown", pointed);
    image.addEventListener("pointerleave", hide);
    image.addEventListener("blur", hide);
    image.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) {
        const at = places.indexOf(Number(canvas.dataset.at));
        show(at < 0 ? (step > 0 ? 0 : places.length - 1) : at + step);
        event.preventDefault();
      }
      if (event.key === "Escape") hide();
    });
    if (canvas.dataset.at !== undefined) show(nearest(fx.at(Number(canvas.dataset.at))));
  };

  return { draw, number, html };
})();
