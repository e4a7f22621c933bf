"use strict";
// Who takes part, in which order things come, what was answered, and the file at the end.

const study = document.body.dataset.study;
const look = new URLSearchParams(location.search).get("look"); // the kind of a page to look at; nothing is kept then
const KEY = `sightglass/${study}/${STUDY.build}`;
const still = look !== null && new URLSearchParams(location.search).has("still"); // for a picture of the page
let keeps = true; // whether this browser keeps answers when the page is reloaded
let state = restore();

function newcomer() {
  const bytes = look === null ? crypto.getRandomValues(new Uint8Array(8)) : new Uint8Array(8);
  const participant = Array.from(bytes, byte => byte.toString(16).padStart(2, "0")).join("");
  return {participant, started: new Date().toISOString(), answers: {}};
}

function restore() {
  try {
    const kept = look === null && JSON.parse(localStorage.getItem(KEY));
    return kept && kept.answers ? kept : newcomer();
  } catch {
    return newcomer();
  }
}

function keep() {
  try {
    if (look === null) localStorage.setItem(KEY, JSON.stringify(state));
  } catch {
    keeps = false;
  }
}

function answer(name) {
  return state.answers[name] || "";
}

function note(name, value) {
  state.answers[name] = value;
  delete state.saved; // the file, if there is one, is older now
  keep();
}

// Every order has a name of its own, so it is the same for a participant whenever it is asked for.
function draw(name) {
  let mixed = 2166136261;
  for (const letter of `${state.participant}/${name}`) mixed = Math.imul(mixed ^ letter.codePointAt(0), 16777619);
  mixed = Math.imul(mixed ^ mixed >>> 16, 2246822507);
  mixed = Math.imul(mixed ^ mixed >>> 13, 3266489909);
  return (mixed ^ mixed >>> 16) >>> 0;
}

function shuffled(items, name) {
  const keyed = items.map((item, i) => [draw(`${name}/${i}`), item]);
  return keyed.sort((a, b) => a[0] - b[0]).map(pair => pair[1]);
}

// A participant sees each question of such a section with one method; the subset says which.
function method(section, question, subset) {
  const all = STUDY.methods[section];
  return all[(STUDY.sections[section].indexOf(question) + subset) % all.length];
}

function file() {
  const answers = pages().flatMap(page => page.answers ? page.answers() : []);
  return {
    format: "sightglass study 1", study, build: STUDY.build, participant: state.participant,
    automated: navigator.webdriver === true, started: state.started, saved: state.saved || "", ...about(), answers,
  };
}

function save() {
  state.saved = new Date().toISOString();
  keep();
  const name = `sightglass-${study}-${state.participant}.json`;
  const blob = new Blob([JSON.stringify(file(), null, 1)], {type: "application/json"});
  element("a", {href: URL.createObjectURL(blob), download: name}).click();
  return name;
}

function forget() {
  state = newcomer();
  keep();
}
