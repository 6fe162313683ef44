// The live page: what the server streams, drawn. Every text goes in as text, never as HTML.
"use strict";
(() => {
  const { draw, number, html } = figures;
  const byId = (id) => document.getElementById(id);
  const STATES = ["done", "diverged", "failed", "running", "waiting"];
  const WORDS = { done: "done", diverged: "diverged", failed: "failed", running: "running", waiting: "waiting" };
  const [STEP, SCORE, , LOSS, GRAD] = [0, 1, 2, 3, 4]; // places in a point
  const STYLES = 8, MOST = 24; // colours; single runs of a method that are drawn
  const page = { overview: null, runs: new Map(), hidden: new Set(), trouble: "", source: null, drawing: false };

  const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const style = (plan) => {
    const place = page.overview.methods.findIndex((m) => m.plan === plan);
    return `c${place % STYLES}${place >= STYLES ? " second" : ""}`;
  };

  const connect = (context) => {
    page.source?.close();
    page.runs.clear();
    const source = new EventSource(`/events?context=${context}`);
    page.source = source;
    source.addEventListener("open", () => { page.runs.clear(); link(true, "live"); });
    source.addEventListener("error", () => link(false, "no connection; trying again"));
    source.addEventListener("overview", (event) => { page.overview = JSON.parse(event.data); later(); });
    source.addEventListener("trouble", (event) => { page.trouble = JSON.parse(event.data).says; later(); });
    source.addEventListener("runs", (event) => {
      for (const run of JSON.parse(event.data)) {
        const known = page.runs.get(run.n);
        if (known && run.from) run.points = [...known.points.slice(0, run.from), ...run.points];
        page.runs.set(run.n, run);
      }
      later();
    });
  };

  const link = (on, says) => {
    byId("link").className = on ? "link on" : "link";
    byId("link").lastElementChild.textContent = says;
  };

  const later = () => {
    if (page.drawing) return;
    page.drawing = true;
    requestAnimationFrame(() => { page.drawing = false; if (page.overview) show(); });
  };

  const show = () => {
    const o = page.overview;
    document.title = `${o.name}: ${Math.floor(100 * share(o))} %`;
    byId("name").textContent = o.name;
    byId("folder").textContent = o.folder;
    showVerdict(o);
    choices(o);
    byId("methods").hidden = byId("curves").hidden = !o.total;
    if (o.total) { showTable(o); showFigures(o); }
    const notes = [...(page.trouble ? [page.trouble] : []), ...o.failures.map((f) => `${count(f.runs, "run")} failed: ${f.error}`), ...o.log];
    byId("trouble").hidden = !notes.length;
    byId("notes").replaceChildren(...notes.map((note) => html("li", { textContent: note })));
  };

  const over = (counts) => counts.done + counts.diverged + counts.failed;
  const share = (o) => (o.total ? over(o.counts) / o.total : 1);

  const showVerdict = (o) => {
    const ended = over(o.counts), all = count(o.total, "run");
    const left = o.left_words ? `, ${o.left_words} left` : "";
    const headline = {
      running: `${ended.toLocaleString("en")} of ${all} done${left}`,
      stopped: `Stopped: ${ended.toLocaleString("en")} of ${all} done`,
      done: `All ${all} are done`,
    }[o.state];
    const detail = {
      running: "Not finished: what follows is no verdict. A lead that is seen early and stopped at is how noise becomes a finding.",
      stopped: `Not finished, and no driver is at work: fanin lab resume ${o.folder} goes on where it stopped.`,
      done: `The verdict, with its tests and intervals, is in the report: fanin lab report ${o.folder}`,
    }[o.state];
    byId("verdict").className = `verdict level-${{ running: "info", stopped: "warning", done: "ok" }[o.state]}`;
    if (byId("headline").textContent !== headline) byId("headline").textContent = headline;
    byId("question").textContent = o.question;
    byId("detail").textContent = detail;
    byId("share").setAttribute("aria-valuenow", Math.floor(100 * share(o)));
    byId("share").setAttribute("aria-label", headline);
    segments(byId("share"), o.counts);
    byId("counts").replaceChildren(...STATES.filter((s) => o.counts[s] || s === "done").map((s) =>
      html("li", {}, html("i", { className: `is-${s}` }), html("b", { textContent: o.counts[s].toLocaleString("en") }), ` ${WORDS[s]}`)));
  };

  const segments = (bar, counts) => {
    for (const state of STATES) {
      let part = bar.querySelector(`.is-${state}`);
      if (!part) bar.append((part = html("span", { className: `is-${state}` })));
      part.style.flexGrow = counts[state];
      part.hidden = !counts[state];
    }
    return bar;
  };

  const fill = (select, options, value) => {
    const before = [...select.options].map((o) => o.textContent).join("\n");
    if (before !== options.map(([, text]) => text).join("\n")) select.replaceChildren(...options.map(([v, text]) => html("option", { value: v, textContent: text })));
    if (document.activeElement !== select) select.value = value;
  };

  const choices = (o) => {
    byId("of-context").hidden = o.contexts.length < 2;
    fill(byId("context"), o.contexts.map((c, i) => [String(i), `${c.label} (${over(c.counts)} of ${Object.values(c.counts).reduce((a, b) => a + b, 0)})`]), String(o.context));
    byId("of-lr").hidden = o.lrs.length < 2;
    const chosen = byId("lr").value || "best";
    fill(byId("lr"), [["best", "each method's best rate so far"], ...o.lrs.map((lr) => [String(lr), `learning rate ${number(lr)}`])], chosen);
  };

  const rateOf = (method) => (byId("lr").value === "best" || !byId("lr").value ? method.lr ?? page.overview.lrs[0] : Number(byId("lr").value));

  const showTable = (o) => {
    const part = o.held_out ? "held-out" : "test part's";
    byId("note").textContent = o.held_out
      ? `Scores are of the held-out part; the test part is for the report${o.state === "done" ? ", and so are intervals and tests." : ". No intervals and no tests yet, since every look would be one more try."}`
      : "This study holds nothing out: its curves are on the test part, and learning rates are chosen by the training loss.";
    const reached = o.methods.some((m) => m.reached.length);
    const head = ["method", "runs", "best rate so far", `${part} ${o.score || "score"}, mean`, "range", ...(reached ? ["steps to target"] : []), "diverged"];
    byId("table").tHead.replaceChildren(html("tr", {}, ...head.map((text) => html("th", { scope: "col", textContent: text }))));
    byId("table").tBodies[0].replaceChildren(...o.methods.map((m) => row(m, reached)));
  };

  const row = (m, reached) => {
    const button = html("button", { type: "button" }, html("i", { className: style(m.plan) }), html("span", { textContent: m.plan }));
    button.setAttribute("aria-pressed", String(!page.hidden.has(m.plan)));
    button.title = "show or hide its curves";
    button.addEventListener("click", () => {
      if (!page.hidden.delete(m.plan)) page.hidden.add(m.plan);
      show();
      [...byId("table").querySelectorAll("button")].find((b) => b.textContent === m.plan)?.focus();
    });
    const early = m.runs && m.runs < m.of_lr ? html("span", { className: "early", textContent: ` (${m.runs} of ${m.of_lr} runs)` }) : "";
    const middle = m.reached.length ? m.reached[Math.floor((m.reached.length - 1) / 2)] : null;
    const cells = [
      html("td", { className: "name" }, button),
      html("td", {}, segments(html("span", { className: "mini" }), m.counts), `${over(m.counts)} of ${m.total}`),
      html("td", { textContent: m.lr === null || !m.runs ? "–" : number(m.lr) }),
      html("td", {}, number(m.mean, 4), early),
      html("td", { textContent: m.runs > 1 ? `${number(m.low)} to ${number(m.high)}` : "–" }),
      ...(reached ? [html("td", { textContent: middle === null ? "–" : `${number(middle)} (${m.reached.length} of ${m.runs})` })] : []),
      html("td", { textContent: m.runs ? `${m.diverged} of ${m.runs}` : "–" }),
    ];
    return html("tr", {}, ...cells);
  };

  const showFigures = (o) => {
    const shown = o.methods.filter((m) => !page.hidden.has(m.plan));
    const runs = [...page.runs.values()];
    const part = o.held_out ? "held-out part" : "test part";
    const score = o.score ? o.score[0].toUpperCase() + o.score.slice(1) : "Score";
    const curve = (place, log) => shown.flatMap((m) => lines(m, runs.filter((r) => r.plan === m.plan && r.lr === rateOf(m)), place, log));
    const empty = "Nothing was measured yet.";
    draw(byId("score"), { title: `${score} through training`, caption: `On the ${part}.`, xName: "step", log: false, series: curve(SCORE, false), empty });
    draw(byId("loss"), { title: "Training loss", caption: "Mean since the point before; thick lines are geometric means.", xName: "step", log: true, series: curve(LOSS, true), empty });
    draw(byId("grad"), { title: "Gradient norm", caption: "Of the whole gradient, last batch.", xName: "step", log: true, series: curve(GRAD, true), empty: "Not recorded." });
    byId("rates").hidden = o.lrs.length < 2;
    const rates = shown.map((m) => {
      const points = m.points.filter((p) => p[1] !== null);
      const note = (p) => `${count(p[2], "run")}${p[3] ? `, ${p[3]} diverged` : ""}`;
      return { name: m.plan, style: style(m.plan), dots: true, points: points.map((p) => [p[0], p[1], note(p)]) };
    });
    draw(byId("rates"), { title: "Learning rates so far", caption: `Mean final score on the ${part}; a diverged run counts with what a constant prediction scores.`, xName: "learning rate", log: false, logX: true, xTicks: o.lrs, series: rates, empty: "No run is done yet." });
  };

  const lines = (m, runs, place, log) => {
    const begun = runs.filter((r) => r.points.length);
    const points = begun.map((r) => r.points.map((p) => [p[STEP], p[place]]));
    const single = byId("single").checked && begun.length > 1 ? points.slice(0, MOST).map((line, i) =>
      ({ name: m.plan, style: style(m.plan), faint: true, points: line, cross: begun[i].state === "diverged" })) : [];
    const at = new Map();
    for (const line of points) for (const [x, y] of line) if (y !== null && (y > 0 || !log)) at.set(x, [...(at.get(x) || []), y]);
    const mean = [...at].filter(([, ys]) => 2 * ys.length >= begun.length).sort((a, b) => a[0] - b[0]).map(([x, ys]) => {
      const total = ys.reduce((a, y) => a + (log ? Math.log(y) : y), 0) / ys.length;
      return [x, log ? Math.exp(total) : total, begun.length > 1 ? count(ys.length, "run") : ""];
    });
    return [...single, { name: m.plan, style: style(m.plan), points: mean, cross: begun.length === 1 && begun[0].state === "diverged" }];
  };

  byId("context").addEventListener("change", (event) => { event.target.blur(); page.hidden.clear(); connect(event.target.value); });
  byId("lr").addEventListener("change", (event) => { event.target.blur(); later(); });
  byId("single").addEventListener("change", later);
  connect(0);
})();
