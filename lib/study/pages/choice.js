"use strict";
// The second study: which of two pictures does a part of the network prefer, and how sure are you?

const PARTS = ["classes", "inner"].filter(section => STUDY.sections[section]);

// Which of the pair (preferred, other) stands left is drawn anew for each participant and question.
function pair(view, name, question) {
  const shown = shuffled([["preferred", question.beside[0]], ["other", question.beside[1]]], name);
  slot(view, "pair").append(...shown.map(([value, path], i) => {
    const letter = "AB"[i];
    return option(name, value, `Picture ${letter}`, ...pictures([path], `Picture ${letter}`),
      element("span", {textContent: `Picture ${letter}`}));
  }));
}

function position(name) {
  return shuffled(["preferred", "other"], name).indexOf(answer(name)) + 1;
}

function pick(name, pressed) {
  const value = shuffled(["preferred", "other"], name)["AB".indexOf(pressed)];
  if (value) press(name, value);
}

function choosing(section) {
  return (question, i, all) => {
    const subset = draw(`subset/${section}`) % STUDY.methods[section].length;
    const made = method(section, question, subset);
    const [name, sure] = ["choice", "sure"].map(what => `${what}/${section}/${question.name}/${made}`);
    return {
      kind: "choose", section, fields: [{name, words: "which picture it prefers"}, {name: sure, words: "how sure you are"}],
      part: `Part ${PARTS.indexOf(section) + 1} of ${PARTS.length} · question ${i + 1} of ${all.length}`,
      keys: "A or B chooses, 1 to 3 says how sure you are",
      fill(view) {
        slot(view, "images").append(...pictures(question.images[made], "A favourite picture"));
        pair(view, name, question);
        slot(view, "scale").append(...scale(sure, 3, "How sure"));
      },
      ask: missing => `Please say ${listed(missing.map(field => field.words))}.`,
      answers: () => [{section, question: question.name, method: made, chosen: answer(name),
        confidence: Number(answer(sure)), order: i + 1, position: position(name)}],
      key: pressed => "123".includes(pressed) ? press(sure, pressed) : pick(name, pressed),
    };
  };
}

function example(question) {
  const name = "choice/demonstration";
  const verdict = () => ({"": "", preferred: "Right: the network prefers this one.",
    other: "No: the network prefers the other one."})[answer(name)];
  return {
    kind: "demonstration", part: "Example", fields: [{name}], keys: "A or B chooses",
    fill(view) {
      slot(view, "images").append(...pictures(Object.values(question.images)[0], "A favourite picture"));
      pair(view, name, question);
    },
    shown: form => { form.querySelector("#verdict").textContent = verdict(); },
    changed: form => { form.querySelector("#verdict").textContent = verdict(); },
    ask: () => "Please pick one of the two pictures first.",
    key: pressed => pick(name, pressed),
  };
}

const welcome = {
  kind: "welcome",
  fill(view) {
    const count = PARTS.reduce((sum, section) => sum + STUDY.sections[section].length, 0);
    slot(view, "count").textContent = count;
    slot(view, "minutes").textContent = minutes(30 + 18 * count);
  },
};

function about() {
  return {};
}

function pages() {
  const asked = PARTS.flatMap(section => shuffled(STUDY.sections[section], section).map(choosing(section)));
  const examples = (STUDY.sections.demonstration || []).slice(0, 1).map(example);
  return [welcome, ...examples, ...asked, finish];
}

start();
