// Reads the document again and again, and shows it. What callers have chosen is only ever text.

const EVERY_MS = 2000;
const PATIENCE_MS = 5000;
const PERIOD_MS = 5000;
const byId = (id) => document.getElementById(id);

function say(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

/** A figure and its unit, the unit smaller. */
function figure(id, text, unit = "") {
  const element = byId(id);
  if (element.dataset.shown === `${text}|${unit}`) return;
  element.dataset.shown = `${text}|${unit}`;
  const small = document.createElement("small");
  small.textContent = unit ? ` ${unit}` : "";
  element.replaceChildren(text, small);
}

/** A figure that stands before its unit: "1 min 5 s" is 1, and "min 5 s". */
function measured(id, text) {
  const [number, ...unit] = text.split(" ");
  figure(id, number, unit.join(" "));
}

/** Rows of cells `[text, class]`; what has not changed is not touched. */
function fill(id, rows) {
  const body = byId(id);
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, index) => {
    const row = body.rows[index] ?? body.insertRow();
    cells.forEach(([text, className = ""], column) => {
      const cell = row.cells[column] ?? row.insertCell();
      if (cell.textContent !== text) {
        cell.textContent = text;
        cell.title = text;
      }
      if (cell.className !== className) cell.className = className;
    });
  });
}

const perSecond = (of) => (sample) => (sample.seconds > 0 ? of(sample) / sample.seconds : null);
const percentiles = (of) => [
  { name: "p50", color: "teal", of: (sample) => sample[`${of}_p50_ms`] },
  { name: "p95", color: "blue", of: (sample) => sample[`${of}_p95_ms`] },
  { name: "p99", color: "violet", of: (sample) => sample[`${of}_p99_ms`] },
];
let slotsTotal = 1;
const plots = [
  {
    title: "Requests per second",
    series: [
      { name: "all", color: "blue", area: true, of: perSecond((sample) => sample.requests + sample.messages) },
      { name: "no room", color: "amber", rare: true, of: perSecond((sample) => sample.refused) },
      { name: "failed", color: "red", rare: true, of: perSecond((sample) => sample.failed) },
    ],
    scale: (values) => linear(values, 1, (value) => String(Number(value.toPrecision(3)))),
    word: rate,
  },
  { title: "Request time", series: percentiles("request"), scale: logarithmic, word: time },
  { title: "Compile time", series: percentiles("compile"), scale: logarithmic, word: time },
  {
    title: "Slots",
    series: [
      { name: "busy", color: "blue", area: true, of: (sample) => sample.slots_busy },
      { name: "waiting", color: "amber", of: (sample) => sample.waiting },
    ],
    scale: (values) => linear(values, slotsTotal, (value) => String(Number(value.toPrecision(3)))),
    word: (value) => (value === null ? NONE : String(Number(value.toFixed(1)))),
  },
].map((plot) => new Plot(byId("plots"), plot));
link(plots, PERIOD_MS);

const JOBS = { ok: "good", compile_error: "", rejected: "poor", stale: "poor", cancelled: "dim", infra_error: "bad" };

function went_wrong({ status, job }) {
  return (status !== null && status >= 400) || (job !== null && job !== "ok" && job !== "compile_error");
}

function recentRow(one) {
  const status = one.status === null ? "dim" : one.status >= 500 ? "bad" : one.status >= 400 ? "poor" : "good";
  const waited = one.queued_ms === null ? one.waited_ms : one.queued_ms + (one.waited_ms ?? 0);
  return [
    [clock(one.time, 12), "dim"], [one.door], [one.route], [one.compiler ?? NONE, one.compiler ? "" : "dim"],
    [one.status === null ? NONE : String(one.status), `n ${status}`], [one.job ?? NONE, JOBS[one.job] ?? "poor"],
    [time(waited), "n"], [time(one.duration_ms), "n"], [one.cached ? "yes" : "no", one.cached ? "" : "dim"],
    [one.id ?? NONE, "dim"],
  ];
}

function showRecent({ recent }) {
  if (byId("hold").checked) return;
  const shown = byId("only-bad").checked ? recent.filter(went_wrong) : recent;
  fill("recent", shown.map(recentRow));
  byId("recent-empty").hidden = shown.length > 0;
  say("recent-empty", recent.length === 0 ? "None yet." : "None of the last went wrong.");
}

function showProblems({ problems }) {
  const shown = problems.length > 0 ? problems : [{ level: "well", text: "Nothing is wrong." }];
  const list = byId("problems");
  while (list.children.length > shown.length) list.lastChild.remove();
  shown.forEach(({ level, text }, index) => {
    const item = list.children[index] ?? list.appendChild(document.createElement("li"));
    item.className = level;
    if (item.textContent !== text) item.textContent = text;
  });
}

function showTiles({ slots, lately, caches, queue, process, http_connections, compilers }) {
  figure("slots", String(slots.busy), `of ${slots.total} busy`);
  const oldest = slots.oldest_job_seconds === null ? "" : `\noldest job ${age(slots.oldest_job_seconds)}`;
  say("slots-more", `${count(slots.waiting)} waiting${oldest}`);
  const meter = byId("slots-meter");
  const marks = Math.min(slots.total, 32);
  while (meter.children.length > marks) meter.lastChild.remove();
  while (meter.children.length < marks) meter.append(document.createElement("i"));
  const lit = Math.ceil((slots.busy / slots.total) * marks);
  [...meter.children].forEach((mark, index) => { mark.className = index < lit ? "on" : ""; });

  const all = lately.requests + lately.messages;
  figure("requests", rate(all / Math.max(1, lately.seconds)), "/s");
  say("requests-more", `${count(all)} in a minute\n${some(http_connections, "connection")}`);
  measured("request-time", time(lately.request_p95_ms));
  say("request-time-more", `p50 ${time(lately.request_p50_ms)}\np99 ${time(lately.request_p99_ms)}`);
  measured("compile-time", time(lately.compile_p95_ms));
  say("compile-time-more", `p50 ${time(lately.compile_p50_ms)}\n${some(lately.compiles, "compile")}`);
  figure("failed", count(lately.failed));
  byId("failed").classList.toggle("bad", lately.failed > 0);
  say("failed-more", `of ${count(all)}\n${count(lately.refused)} found no room`);
  const looked = lately.cache_hits + lately.cache_misses;
  const share = String(Math.round((100 * lately.cache_hits) / looked));
  figure("remembered", ...(looked > 0 ? [share, "%"] : [NONE]));
  const held = Object.values(caches).reduce((sum, cache) => sum + cache.size_bytes, 0);
  say("remembered-more", `${count(lately.cache_hits)} of ${count(looked)}\n${bytes(held)} held`);
  if (queue === null) {
    figure("queue", NONE);
    say("queue-more", "no queue is ours");
  } else {
    figure("queue", count(lately.messages), "/min");
    say("queue-more", `age p95 ${time(lately.message_age_p95_ms)}`);
  }
  measured("memory", bytes(process.resident_bytes));
  say("memory-more", `${some(process.threads, "thread")}\n${some(compilers.total, "compiler")}`);
}

function showTables({ compilers, queue, hub, routing, tasks, caches, has_fleet }) {
  fill("compilers", compilers.named.map(({ id, name, language }) => [[id], [name], [language]]));
  const more = compilers.total - compilers.named.length;
  say("compilers-more", more > 0 ? `${count(compilers.total)}, the first ${compilers.named.length} shown` : count(compilers.total));
  const fleet = [];
  for (const [outcome, number] of Object.entries(queue?.messages ?? {})) fleet.push([`messages ${outcome}`, count(number)]);
  if (hub !== null) {
    fleet.push(
      ["connections to the events hub", count(hub.connections)], ["connections made", count(hub.connections_made)],
      ["results waited for", count(hub.subscriptions)], ["results repeated", count(hub.results_repeated)],
      ["results not acknowledged", `${count(hub.offers)} (${bytes(hub.offers_bytes)})`],
    );
  }
  for (const [outcome, number] of Object.entries(routing)) fleet.push([`routes ${outcome}`, count(number)]);
  if (fleet.length === 0) fleet.push(["no queue, no events hub, no routing table", ""]);
  fill("fleet", fleet.map(([what, number]) => [[what], [number, "n"]]));
  say("fleet-more", queue === null ? (has_fleet ? "takes nothing from a queue" : "on its own") : queue.name);
  fill("tasks", Object.entries(tasks).map(([name, { alive, started, panicked }]) => [
    [name], [count(alive), "n"], [count(started), "n"], [count(panicked), panicked > 0 ? "n bad" : "n"],
  ]));
  fill("caches", Object.entries(caches).map(([name, { hits, misses, size_bytes }]) => [
    [name === "default" ? "outputs" : name === "reply" ? "replies" : name],
    [count(hits), "n"], [count(misses), "n"], [bytes(size_bytes), "n"],
  ]));
}

function showPlots({ history, time: now, slots }) {
  slotsTotal = slots.total;
  const end = Date.parse(now);
  const span = history.most * history.period_seconds * 1000;
  plots.forEach((plot) => plot.draw(history.samples, end - span, end, 3.5 * history.period_seconds * 1000));
}

function show(status) {
  document.body.dataset.state = status.state;
  document.title = `${status.state} · ${status.instance} · compilation-worker`;
  say("state", status.state);
  say("instance", status.instance);
  say("version", status.version);
  say("uptime", age(status.uptime_seconds));
  say("clock", clock(status.time));
  showProblems(status);
  showTiles(status);
  showPlots(status);
  showRecent(status);
  showTables(status);
}

let last = null;
let lastAt = performance.now();

function lost() {
  const seconds = Math.floor((performance.now() - lastAt) / 1000);
  const since = last === null ? "No answer yet" : `Connection lost. What you see is of ${clock(last.time)} UTC, ${age(seconds)} ago`;
  document.body.dataset.link = "lost";
  document.title = "lost · compilation-worker";
  say("state", "lost");
  say("lost", `${since}; asking again every ${EVERY_MS / 1000} s.`);
  byId("lost").hidden = false;
}

async function read() {
  try {
    const reply = await fetch("/admin/status", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    const told = await reply.json();
    // A document that this page does not understand, as after an upgrade, is no answer either.
    show(told);
    last = told;
  } catch {
    lost();
    return;
  }
  lastAt = performance.now();
  delete document.body.dataset.link;
  byId("lost").hidden = true;
}

async function readForEver() {
  for (;;) {
    if (!document.hidden) await read();
    await new Promise((resolve) => { setTimeout(resolve, EVERY_MS); });
  }
}

byId("only-bad").addEventListener("change", () => { if (last) showRecent(last); });
byId("hold").addEventListener("change", () => { if (last) showRecent(last); });
addEventListener("resize", () => { if (last) showPlots(last); });
readForEver();
