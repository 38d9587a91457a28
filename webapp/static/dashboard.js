// What the live page adds to htmx, which keeps it up to date: countdowns, a word for new leads, and how fresh
// it is. Without any script the pages work, and stand still.
"use strict";

(() => {
  const live = document.getElementById("live");
  if (!live) return;
  const news = document.getElementById("news");
  const pulse = document.getElementById("pulse");
  let offset = 0; // of this computer's clock, in ms
  let known = leads();

  function leads() {
    return new Map([...live.querySelectorAll("[data-lead]")].map((row) => [row.dataset.lead, row]));
  }

  function say(state, words) {
    pulse.dataset.says = state;
    const text = pulse.querySelector(".says");
    if (text.textContent !== words) text.textContent = words;
  }

  function changed() {
    say("live", "Live");
    offset = Date.parse(live.querySelector("[data-now]").dataset.now) - Date.now();
    const now = leads();
    const fresh = [...now].filter(([id]) => !known.has(id)).map(([, row]) => row);
    for (const row of fresh) row.classList.add("fresh");
    if (fresh.length) news.textContent = `New hot lead: ${fresh.map((row) => row.dataset.says).join("; ")}`;
    known = now;
    tick();
  }

  function length(ms) {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }

  function tick() {
    const now = Date.now() + offset;
    for (const time of live.querySelectorAll("[data-until]")) {
      const left = Date.parse(time.dataset.until) - now;
      time.textContent = length(left);
      time.classList.toggle("soon", left < 60000);
    }
    for (const time of live.querySelectorAll("[data-since]")) {
      time.textContent = length(now - Date.parse(time.dataset.since));
    }
  }

  live.addEventListener("htmx:after:swap", changed);
  live.addEventListener("htmx:sse:after:connection", () => say("live", "Live"));
  for (const trouble of ["htmx:sse:error", "htmx:error", "htmx:response:error"]) {
    live.addEventListener(trouble, () => say("late", "Connecting again …"));
  }
  document.addEventListener("visibilitychange", () => document.hidden && say("still", "Paused"));
  setInterval(tick, 1000);
  tick();
})();
