"use strict";
// The first study: rate pictures of a word, rate pictures beside references, name what a picture shows.

const LETTERS = "ABCDEFGH";
const PARTS = ["words", "references", "describe"].filter(section => STUDY.sections[section]);
const AGES = ["under 18", "18-24", "25-34", "35-44", "45-54", "55-64", "65 or over"];
const GENDERS = ["female", "male", "other"];
const SECONDS = {words: 22, references: 20, describe: 15};

function part(section, i, all) {
  return `Part ${PARTS.indexOf(section) + 1} of ${PARTS.length} · question ${i + 1} of ${all.length}`;
}

function rating(section) {
  return (question, i, all) => {
    const fields = shuffled(Object.keys(question.images), `${section}/${question.name}`).map((made, k) =>
      ({name: `${section}/${question.name}/${made}`, letter: LETTERS[k], method: made}));
    return {
      kind: section, part: part(section, i, all), fields, keys: "1 to 5 rates and goes on to the next picture",
      fill: view => fillRating(view, question, fields),
      ask: missing => missing.length > 1 ? `Pictures ${listed(missing.map(field => field.letter))} still need a rating.`
        : `Picture ${missing[0].letter} still needs a rating.`,
      answers: () => fields.map((field, k) => ({section, question: question.name, method: field.method,
        score: Number(answer(field.name)), order: i + 1, position: k + 1})),
      key: pressed => rate(pressed, fields),
    };
  };
}

function fillRating(view, question, fields) {
  if (slot(view, "word")) slot(view, "word").textContent = question.name;
  if (slot(view, "beside")) slot(view, "beside").append(...pictures(question.beside, "A reference picture"));
  slot(view, "cards").append(...fields.map(field => card(question, field)));
}

function card(question, field) {
  const made = document.getElementById("card").content.cloneNode(true);
  made.querySelector("legend").textContent = `Picture ${field.letter}`;
  made.querySelector(".letter").textContent = field.letter;
  slot(made, "images").append(...pictures(question.images[field.method], `Picture ${field.letter}`));
  slot(made, "scale").append(...scale(field.name, 5, `Picture ${field.letter}`));
  return made;
}

function rate(pressed, fields) {
  if (!"12345".includes(pressed)) return;
  const field = fields.find(f => f.name === document.activeElement.name) || fields.find(f => !answer(f.name)) || fields[0];
  press(field.name, pressed);
  const next = fields.find(f => !answer(f.name));
  const focus = next ? document.querySelector(`[name="${CSS.escape(next.name)}"]`) : document.getElementById("next");
  focus.focus();
}

const subset = {
  kind: "subset", fields: [{name: "subset"}], ask: () => "Please choose one of the signs; any will do.",
  fill(view) {
    const signs = STUDY.methods.describe.map((_, i) => i);
    slot(view, "signs").append(...shuffled(signs, "signs").map(i =>
      option("subset", i, `Sign ${STUDY.symbols[i]}`, element("span", {textContent: STUDY.symbols[i]}))));
  },
};

function naming(question, i, all) {
  const made = method("describe", question, Number(answer("subset")));
  const name = `describe/${question.name}/${made}`;
  return {
    kind: "describe", part: part("describe", i, all), fields: [{name}],
    fill(view) {
      slot(view, "images").append(...pictures(question.images[made], "The picture to describe"));
      view.querySelector("#word").name = name;
    },
    shown(form) { // on a phone the keyboard would cover the picture
      if (matchMedia("(hover: hover)").matches) form.querySelector("#word").focus({preventScroll: true});
    },
    ask: () => "Please write a word; a guess is welcome.",
    wrong: () => answer(name).split(/\s+/).length > 3 ? "One word is enough, three at most: please shorten it." : "",
    answers: () => [{section: "describe", question: question.name, method: made, word: answer(name), order: i + 1}],
  };
}

const people = {
  kind: "people", part: "Nearly done",
  fill(view) {
    for (const [name, values] of [["age", AGES], ["gender", GENDERS]]) {
      const said = [...values.map(v => [v, v]), ["none", "rather not say"]];
      slot(view, name).append(...said.map(([value, words]) =>
        option(name, value, words, element("span", {textContent: words}))));
    }
  },
};

function about() {
  const said = name => answer(name) === "none" ? "" : answer(name);
  return {subset: answer("subset") && STUDY.symbols[Number(answer("subset"))], age: said("age"), gender: said("gender")};
}

const welcome = {
  kind: "welcome",
  fill(view) {
    const counts = PARTS.map(section => STUDY.sections[section].length);
    slot(view, "count").textContent = counts.reduce((a, b) => a + b);
    slot(view, "minutes").textContent = minutes(PARTS.reduce((sum, s, i) => sum + counts[i] * SECONDS[s], 30));
  },
};

function pages() {
  const asked = section => shuffled(STUDY.sections[section] || [], section);
  const described = asked("describe").map(naming);
  return [welcome, ...asked("words").map(rating("words")), ...asked("references").map(rating("references")),
    ...described.length ? [{...subset, part: `Part ${PARTS.length} of ${PARTS.length}`}, ...described] : [],
    people, finish];
}

start();
