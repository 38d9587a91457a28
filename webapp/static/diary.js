// The diary's columns on a wide screen, one for each person and room. The list below them is the page without any
// script, and on a telephone; both say the same, and a click leads to the same pages.
"use strict";

(() => {
  const place = document.getElementById("columns");
  const list = document.getElementById("list");
  const stale = document.getElementById("stale");
  const wide = window.matchMedia("(min-width: 64rem)");
  if (!place || !window.EventCalendar) return;
  const week = place.dataset.days === "7";
  const inColumns = wide.matches && !(week && place.dataset.who === ""); // no screen is wide enough for a week of everybody

  const mayChange = place.dataset.mayChange === "1";
  const token = document.querySelector("input[name=csrf]").value;
  const addMinutes = (time, minutes) => new Date(Date.parse(`${time}Z`) + minutes * 60000).toISOString().slice(0, 19);
  let shown = "";
  let calendar = null;
  let people = new Set();
  let dragged = false;
  place.addEventListener("click", (event) => dragged && event.preventDefault(), true); // the end of a drag is no click

  function events(state) {
    const found = [];
    for (const each of state.entries) {
      const one = {
        id: each.id,
        resourceIds: each.resources,
        start: each.start,
        end: each.end,
        title: each.title,
        editable: false,
        startEditable: mayChange && each.kind === "appointment" && each.status === "confirmed" && each.start > state.now,
        classNames: [each.kind, each.status || "", each.overruled ? "overruled" : ""].filter(Boolean),
        extendedProps: each,
      };
      found.push(one);
      for (const [start, end] of [
        [addMinutes(each.start, -each.before), each.start],
        [each.end, addMinutes(each.end, each.after)],
      ]) {
        if (start < end) {
          found.push({ id: `${each.id}-${start}`, resourceIds: each.resources, start, end, display: "background", classNames: ["buffer"] });
        }
      }
    }
    // The component's own line follows the clock of this computer, which may be set to another zone or be wrong.
    found.push({ id: "now", resourceIds: state.resources.map((each) => each.id), start: state.now, end: addMinutes(state.now, 1), display: "background", classNames: ["now"] });
    for (const each of state.resources) {
      for (const [start, end] of closed(each.open)) {
        found.push({ id: `closed-${each.id}-${start}`, resourceIds: [each.id], start, end, display: "background", classNames: ["closed"] });
      }
    }
    return found;
  }

  // What is left of the days beside the open spans.
  function closed(open) {
    const midnight = `${place.dataset.day}T00:00:00`;
    const next = addMinutes(midnight, Number(place.dataset.days) * 24 * 60);
    const left = [];
    let from = midnight;
    for (const [start, end] of open) {
      if (end <= from) continue;
      if (start > from) left.push([from, start < next ? start : next]);
      from = end;
      if (from >= next) break;
    }
    if (from < next) left.push([from, next]);
    return left;
  }

  function words(info) {
    const each = info.event.extendedProps;
    if (info.event.display === "background") return "";
    const box = document.createElement("span");
    const who = document.createElement(each.url ? "a" : "strong");
    if (each.url) Object.assign(who, { href: each.url, draggable: false });
    who.textContent = each.kind === "block" ? `Blocked: ${each.title}` : each.title;
    const more = document.createElement("span");
    const left = each.left === null ? "" : `held, ${Math.max(0, Math.ceil(each.left / 60))} min left`;
    more.textContent = [each.at, each.service, left, each.status && each.status !== "confirmed" ? each.status.replace("_", " ") : ""].filter(Boolean).join(" · ");
    box.append(who, more);
    return { domNodes: [box] };
  }

  async function read() {
    let answer = null;
    try {
      answer = await fetch(place.dataset.entries, { headers: { "HX-Request": "true" } });
    } catch {
      // No network: said below.
    }
    if (answer && answer.status === 401) return location.reload();
    stale.hidden = Boolean(answer && answer.ok);
    return answer && answer.ok ? answer.json() : undefined;
  }

  async function move(info) {
    const form = new FormData();
    const [day, time] = [iso(info.event.start).slice(0, 10), iso(info.event.start).slice(11, 16)];
    form.set("csrf", token);
    form.set("day", day);
    form.set("other", time);
    form.set("person", (info.newResource || { id: info.event.extendedProps.resources[0] }).id);
    const said = `Move ${info.event.extendedProps.title} from ${info.event.extendedProps.at} to ${time}${week ? ` on ${day}` : ""}? The patient gets a text.`;
    if (!window.confirm(said)) return info.revert();
    const url = info.event.extendedProps.url;
    let why = "It is not known whether that was done. Look at the diary again in a moment.";
    try {
      const answer = await fetch(`${url}/move`, { method: "POST", body: form, headers: { "HX-Request": "true" } });
      if (answer.status === 401) return location.reload();
      if (answer.ok && answer.redirected && new URL(answer.url).pathname === url) return refresh(true);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const said = page.querySelector("[role=alert]");
      if (said) why = said.textContent.replace(/\s+/g, " ").trim();
      else if (answer.status < 500) why = "It could not be moved.";
    } catch {
      // The network went away: what is said above.
    }
    info.revert();
    window.alert(why);
    return refresh(true);
  }

  function iso(date) {
    return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
  }

  function book(info) {
    const there = new URL(place.dataset.new, location.href);
    there.searchParams.set("day", iso(info.date).slice(0, 10));
    there.searchParams.set("time", iso(info.date).slice(11, 16));
    const who = info.resource ? info.resource.id : place.dataset.who;
    if (people.has(who)) there.searchParams.set("person", who);
    location.assign(there);
  }

  function hours(state) {
    const all = state.resources.flatMap((each) => each.open);
    const first0 = `${place.dataset.day}T00:00:00`;
    const end0 = addMinutes(first0, Number(place.dataset.days) * 24 * 60);
    // What goes over midnight reaches to the end of its day, and begins the next one.
    const times = [...all, ...state.entries.map((each) => [each.start, each.end])].flatMap(([start, end]) => {
      // A room that is always open, or a block of days, asks for no hour of its own.
      if (end >= addMinutes(start, 24 * 60)) return [];
      const from = start < first0 ? first0 : start;
      const until = end > end0 ? end0 : end;
      if (from >= until) return [];
      if (from.slice(0, 10) === until.slice(0, 10)) return [[from, until]];
      return [[from, `${from.slice(0, 10)}T24:00:00`], ...(until.slice(11) > "00:00:00" ? [[`${until.slice(0, 10)}T00:00:00`, until]] : [])];
    });
    const first = times.map(([start]) => Number(start.slice(11, 13)));
    const last = times.map(([, end]) => Number(end.slice(11, 13)) + (end.slice(14, 16) === "00" ? 0 : 1));
    return [Math.max(0, Math.min(8, ...first)), Math.min(24, Math.max(18, ...last))].map((each) => `${String(each).padStart(2, "0")}:00`);
  }

  async function refresh(always) {
    const state = await read();
    if (!state || (dragged && !always)) return;
    const text = JSON.stringify([inColumns && state.now.slice(0, 16), state.resources, state.entries.map((each) => ({ ...each, left: each.left && Math.ceil(each.left / 60) }))]);
    if (text === shown && !always) return;
    shown = text;
    // Also the first time: a call may have booked between the page and this answer.
    if (!inColumns) return renewList();
    const [slotMinTime, slotMaxTime] = hours(state);
    people = new Set(state.resources.filter((each) => each.kind === "person").map((each) => each.id));
    const resources = state.resources.map((each) => ({ id: each.id, title: each.name }));
    if (calendar) {
      for (const [name, value] of Object.entries({ resources, slotMinTime, slotMaxTime, events: events(state) })) calendar.setOption(name, value);
      return;
    }
    place.hidden = false;
    list.hidden = true;
    // The component calls itself a table and has no rows; the list of the same entries is what is read aloud.
    const plain = () => {
      for (const each of place.querySelectorAll("[role=table], [role=rowgroup], [role=row], [role=columnheader], [role=rowheader], [role=cell]")) each.removeAttribute("role");
      for (const name of ["aria-colindex", "aria-rowindex", "aria-colcount", "aria-rowcount", "aria-colspan"]) place.querySelectorAll(`[${name}]`).forEach((each) => each.removeAttribute(name));
    };
    calendar = EventCalendar.create(place, {
      view: week ? "timeGridWeek" : "resourceTimeGridDay",
      firstDay: 1,
      date: place.dataset.day,
      headerToolbar: { start: "", center: "", end: "" },
      allDaySlot: false,
      slotDuration: "00:15",
      slotLabelInterval: "01:00",
      slotHeight: 22,
      slotEventOverlap: false,
      height: "auto",
      resources,
      slotMinTime,
      slotMaxTime,
      slotLabelFormat: (date) => `${date.getHours() % 12 || 12} ${date.getHours() < 12 ? "am" : "pm"}`,
      dayHeaderFormat: (date) => `${date.toLocaleDateString("en-GB", { weekday: "short" })} ${date.getDate()}`,
      events: events(state),
      eventAllUpdated: plain,
      viewDidMount: plain,
      eventContent: words,
      eventDragStart: () => { dragged = true; },
      eventDragStop: () => setTimeout(() => { dragged = false; }, 200),
      eventDrop: move,
      dateClick: mayChange ? book : undefined,
    });
  }

  // The list as the page has it now.
  async function renewList() {
    const answer = await fetch(location.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const anew = page.getElementById("list");
    if (answer.ok && anew) list.replaceChildren(...anew.childNodes);
  }

  refresh(true);
  setInterval(() => document.hidden || refresh(false), 4000);
})();
