"use strict";
// Pages one after another. A page is {kind, part, fields, fill, ask, answers, ...}: its template, what stands above it,
// the answers it needs, how it is filled, what is said when answers are missing, and what goes into the file.

let number = 0; // of the page in hand

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function slot(view, name) {
  return view.querySelector(`[data-slot="${name}"]`);
}

function pictures(paths, alt) {
  return paths.map(src => element("img", {src, alt, draggable: false}));
}

function option(name, value, label, ...shown) {
  const input = element("input", {type: "radio", name, value});
  input.setAttribute("aria-label", label);
  return element("label", {className: "option"}, input, ...shown);
}

function scale(name, count, label) {
  const values = Array.from({length: count}, (_, i) => i + 1);
  return values.map(v => option(name, v, `${label}: ${v} of ${count}`, element("span", {textContent: v})));
}

function listed(words) {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

function minutes(seconds) {
  const count = Math.max(1, Math.round(seconds / 60));
  return count === 1 ? "about a minute" : `about ${count} minutes`;
}

// What is missing

function unanswered(page) {
  return (page.fields || []).filter(field => !answer(field.name));
}

function problem(page) {
  const missing = unanswered(page);
  return missing.length ? page.ask(missing) : page.wrong ? page.wrong() : "";
}

function reachable(all) {
  const first = all.findIndex(problem);
  return first < 0 ? all.length - 1 : first;
}

// The page in hand

function show(wanted) {
  const all = pages();
  number = Math.max(0, Math.min(wanted, look === null ? reachable(all) : all.length - 1));
  const page = all[number];
  const form = element("form", {noValidate: true}, document.getElementById(page.kind).content.cloneNode(true));
  for (const part of form.querySelectorAll("[data-if]")) part.hidden = !STUDY.sections[part.dataset.if];
  if (page.fill) page.fill(form);
  fillIn(form);
  form.append(...footer(page, number === all.length - 1));
  const above = [...notices(), element("p", {className: "where", textContent: page.part || ""})];
  document.querySelector("main").replaceChildren(...above, form);
  document.getElementById("done").style.width = `${100 * number / (all.length - 1)}%`;
  if (look === null) history.replaceState(null, "", `#${number}`);
  if (page.shown) page.shown(form);
}

function fillIn(form) {
  for (const input of form.querySelectorAll("[name]")) {
    if (input.type === "radio") input.checked = answer(input.name) === input.value;
    else input.value = answer(input.name);
  }
}

function footer(page, last) {
  const back = element("button", {type: "button", className: "plain", textContent: "Back", id: "back", hidden: !number});
  const next = element("button", {className: "main", textContent: number ? "Continue" : "Start", id: "next", hidden: last});
  const keys = page.keys ? [element("p", {className: "keys", textContent: `Keyboard: ${page.keys}, Enter continues.`})] : [];
  return [element("p", {className: "problem", role: "alert"}), element("div", {className: "steps"}, back, next), ...keys];
}

function notices() {
  const words = still ? "" : look !== null ? "Preview: nothing is kept." : keeps ? ""
    : "This browser keeps nothing: please don't reload or close the page before you have saved your answers.";
  return words ? [element("p", {className: "note", textContent: words})] : [];
}

function turn(step) {
  const page = pages()[number];
  const words = step > 0 && look === null ? problem(page) : "";
  if (words) refuse(words, unanswered(page)[0] || page.fields[0]);
  else go(number + step);
}

function go(wanted) {
  if (look === null) history.pushState(null, "", `#${wanted}`); // so that the browser's own way back works
  arrive(wanted);
}

function arrive(wanted) {
  show(wanted);
  window.scrollTo(0, 0);
  if (!document.activeElement.matches("[type=text]")) document.querySelector("h1").focus({preventScroll: true});
}

function refuse(words, field) {
  document.querySelector("form .problem").textContent = words;
  document.querySelector(`[name="${CSS.escape(field.name)}"]`).focus();
}

function press(name, value) {
  const input = document.querySelector(`[name="${CSS.escape(name)}"][value="${CSS.escape(value)}"]`);
  if (input) input.click();
}

// The last page of both studies

const finish = {
  kind: "finish",
  shown(form) {
    slot(form, "contact").textContent = STUDY.contact || "the person who gave you this study";
    form.querySelector("#text").value = JSON.stringify(file(), null, 1);
    form.querySelector("#save").disabled = look !== null;
  },
};

function saveAndTell() {
  const name = save();
  document.getElementById("saved").textContent = `Saved as ${name}, where this browser keeps what it downloads.`;
  document.getElementById("text").value = JSON.stringify(file(), null, 1);
}

function startAgain(button) {
  if (state.saved || button.dataset.asked) {
    forget();
    go(0);
  } else {
    button.dataset.asked = "yes";
    button.textContent = "These answers aren't saved yet. Press again to delete them.";
  }
}

// What participants do

document.addEventListener("submit", event => {
  event.preventDefault();
  turn(1);
});
document.addEventListener("click", event => {
  const does = {back: () => turn(-1), save: saveAndTell, again: startAgain}[event.target.id];
  if (does) does(event.target);
});
document.addEventListener("input", event => {
  if (!event.target.name) return;
  note(event.target.name, event.target.value.trim());
  document.querySelector("form .problem").textContent = "";
  const page = pages()[number];
  if (page.changed) page.changed(document.querySelector("form"));
});
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const page = pages()[number];
  if (event.key === "Enter" && !event.target.closest("button, a, textarea, summary")) {
    event.preventDefault();
    turn(1);
  } else if (page.key && !event.target.matches("[type=text], textarea")) page.key(event.key.toUpperCase());
});
window.addEventListener("hashchange", () => arrive(Number(location.hash.slice(1)) || 0));

function start() {
  keep();
  const all = pages();
  const begun = Object.keys(state.answers).length ? reachable(all) : 0;
  const asked = location.hash ? Number(location.hash.slice(1)) || 0 : begun;
  show(look === null ? asked : all.findIndex(page => page.kind === look || page.section === look));
}
