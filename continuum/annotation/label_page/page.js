// The label page. The server holds all state; here is only what is on the screen, and what has been typed and not yet sent.

import { agreement, answer, button, changes, make, turn, verdict } from "./drawing.js";

const $ = (id) => document.getElementById(id);
const QUEUES = ["audit", "useful", "anchor", "golden"];
const SCORES = ["bad", "poor", "middling", "good", "excellent"];

const state = {
  queue: new URLSearchParams(location.hash.slice(1)).get("queue"),
  seen: null, // the last answer of the server
  question: null,
  voted: null,
  editing: false,
  commenting: false,
  draft: { correction: null, kept: false, comment: "" },
  busy: false,
  again: null, // what failed, to be tried again
};

// --- the server -----------------------------------------------------------------------------------------------------

async function ask(path, body) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  let reply;
  try {
    reply = await fetch(`api/${path}`, options);
  } catch {
    throw new Error("The label server does not answer. What you typed is kept here: start it again, open the address it prints in this tab, or try again.");
  }
  const content = await reply.json().catch(() => ({ error: `the server answered ${reply.status}` }));
  if (!reply.ok) throw Object.assign(new Error(content.error), { status: reply.status });
  return content;
}

async function step(work) {
  // One request at a time; what fails is shown, and can be tried again.
  if (state.busy) return;
  state.busy = true;
  trouble(null);
  try {
    await work();
  } catch (error) {
    state.again = () => step(work);
    trouble(error);
  } finally {
    state.busy = false;
    draw();
  }
}

function trouble(error) {
  $("trouble").hidden = error === null;
  if (error === null) { state.again = null; return; }
  $("what").textContent = error.message;
  const elsewhere = error.status === 409;
  $("retry").firstChild.textContent = elsewhere ? "Go on " : "Try again ";
  if (elsewhere) state.again = () => { forget(); load(); };
}

const inQueue = () => (state.queue ? `?queue=${encodeURIComponent(state.queue)}` : "");

function take(seen) {
  state.seen = seen;
  state.queue = seen.queue;
}

function show(seen) {
  take(seen);
  state.question = seen.question;
  state.voted = null;
  state.editing = state.commenting = false;
  recall();
  draw();
  $("conversation").scrollTop = $("conversation").scrollHeight;
  $("work").scrollTop = 0;
  if (matchMedia("(max-width: 900px)").matches) $("answer").scrollIntoView({ block: "center" });
}

const load = () => step(async () => show(await ask(`next${inQueue()}`)));
const undo = () => {
  const last = state.voted ? state.voted.review_id : state.seen && state.seen.last;
  if (!last) return;
  step(async () => {
    const seen = await ask("undo", { queue: state.queue, review: last });
    const { comment, correction } = seen.before ?? {};
    // What was said before is there again, to be changed.
    const draft = { correction: correction ?? null, kept: Boolean(correction), comment: comment ?? "" };
    if (seen.question && (comment || correction)) sessionStorage.setItem(draftKey(seen.question.review_id), JSON.stringify(draft));
    show(seen);
  });
};
const pass = () => step(async () => {
  const review = state.question.review_id;
  const seen = await ask("pass", { queue: state.queue, review });
  forget(review);
  show(seen);
});
const vote = (score) => step(async () => {
  finishEditing(true);
  const { draft, question } = state;
  const body = { queue: state.queue, review: question.review_id, score };
  if (draft.comment.trim()) body.comment = draft.comment;
  if (draft.kept && isChanged()) body.correction = draft.correction;
  const seen = await ask("vote", body);
  take(seen);
  state.voted = seen.voted;
  forget(question.review_id);
});
const showAgreement = () => step(async () => {
  const found = await ask(`agreement${inQueue()}`);
  take({ ...(await ask(`progress${inQueue()}`)), question: state.question });
  $("figures").replaceChildren(agreement(found, state.seen.queues[state.queue]));
  $("agreed").showModal();
});

function toQueue(queue) {
  if (state.busy || queue === state.queue) return;
  state.queue = queue;
  history.replaceState(null, "", `#queue=${queue}`);
  load();
}

// --- what is typed ---------------------------------------------------------------------------------------------------

const draftKey = (review) => `draft ${review}`;

function remember() {
  if (state.question) sessionStorage.setItem(draftKey(state.question.review_id), JSON.stringify(state.draft));
}

function recall() {
  state.draft = { correction: null, kept: false, comment: "" };
  const found = state.question && sessionStorage.getItem(draftKey(state.question.review_id));
  if (found) Object.assign(state.draft, JSON.parse(found));
  state.commenting = Boolean(state.draft.comment);
}

function forget(review = state.question && state.question.review_id) {
  if (review) sessionStorage.removeItem(draftKey(review));
}

const isChanged = () => Boolean(state.draft.correction && state.draft.correction.trim() && state.draft.correction.trim() !== state.question.editable.trim());

function edit() {
  if (state.question.answer === null) return;
  state.editing = true;
  draw();
  const area = $("answer").querySelector("textarea");
  area.focus();
  area.setSelectionRange(area.value.length, area.value.length);
}

function finishEditing(keep) {
  if (!state.editing) return;
  state.editing = false;
  state.draft.kept = keep && isChanged();
  remember();
  draw();
}

function typeComment() {
  state.commenting = true;
  draw();
  $("comment").focus();
}

// --- the screen --------------------------------------------------------------------------------------------------------

function editor() {
  const area = make("textarea");
  area.value = state.draft.correction ?? state.question.editable;
  area.setAttribute("aria-label", "The corrected answer");
  area.dir = "auto";
  area.addEventListener("input", () => { state.draft.correction = area.value; remember(); });
  return area;
}

function drawAnswer() {
  const { question, draft } = state;
  const kept = draft.kept && isChanged();
  const corrected = state.voted ? state.voted.correction : kept ? draft.correction : null;
  const body = state.editing ? editor() : corrected ? changes(question.editable, corrected) : null;
  const node = answer(question.answer, body, question.asked_at);
  if (state.editing) node.append(make("p", "hint", "Enter keeps the correction, Esc leaves it. Then score the answer as it was given."));
  else if (kept && !state.voted) node.append(make("p", "hint", "Your correction is kept. Now score the answer as it was given: the score sends both."));
  else if (state.voted && corrected && corrected !== draft.correction) node.append(make("p", "hint", "The correction is stored as shown here, with personal data taken out."));
  if (!state.editing || !$("answer").querySelector("textarea")) $("answer").replaceChildren(node);
}

function drawActions() {
  const actions = $("actions");
  const off = !state.seen || state.busy;
  if (!state.question) {
    actions.replaceChildren(make("span", "gap"), mayUndo());
  } else if (state.voted) {
    const said = state.voted.correction ? "Vote and correction stored." : "Vote stored.";
    actions.replaceChildren(button("Next", "Enter", load, "primary"), make("span", "state", said), make("span", "gap"), mayUndo());
  } else {
    const scores = SCORES.map((word, at) => {
      const node = make("button", "score", make("b", "", String(at + 1)), make("span", "", word));
      node.type = "button";
      node.title = `Score ${at + 1} of 5: ${word}`;
      node.addEventListener("click", () => vote(at + 1));
      return node;
    });
    const correct = button(state.draft.kept ? "Correct again" : "Correct", "c", edit);
    correct.disabled = state.question.answer === null;
    actions.replaceChildren(...scores, make("span", "gap"), correct, button("Comment", "n", typeComment), button("Pass", "s", pass), mayUndo());
  }
  if (off) for (const node of actions.querySelectorAll("button")) node.disabled = true;
}

function mayUndo() {
  const node = button("Undo", "u", undo);
  node.disabled = !(state.voted || (state.seen && state.seen.last));
  return node;
}

function nothingLeft() {
  const counts = state.seen.queues[state.queue];
  const mine = counts.verdicts[state.seen.labeller] ?? 0;
  const passed = counts.passes[state.seen.labeller] ?? 0;
  if (!counts.total) {
    const [before, command] = state.seen.how_to_fill.split(/: (?=continuum )/);
    const how = make("p", "", `${before[0].toUpperCase()}${before.slice(1)}:`);
    return make("div", "empty", make("h1", "", `The ${state.queue} queue is empty`), how, make("p", "", make("code", "", command)), another());
  }
  const done = mine + passed ? `You gave ${mine} ${mine === 1 ? "verdict" : "verdicts"} and passed ${passed}.` : "Others have answered what there was.";
  return make("div", "empty", make("h1", "", `Nothing is left for you in the ${state.queue} queue`), make("p", "", `${done} ${counts.with_verdict} of ${counts.total} items have a verdict.`),
    button("How far people agree", "a", showAgreement), " ", another());
}

const nextQueue = () => toQueue(QUEUES[(QUEUES.indexOf(state.queue) + 1) % QUEUES.length]);
const another = () => button("Next queue", "q", nextQueue);

function drawHead() {
  const { seen } = state;
  const counts = seen.queues[state.queue];
  const answered = (counts.verdicts[seen.labeller] ?? 0) + (counts.passes[seen.labeller] ?? 0);
  const mine = answered + counts.left;
  $("task").textContent = seen.task;
  $("labeller").textContent = `labelling as ${seen.labeller}`;
  $("filled").style.width = mine ? `${(100 * answered) / mine}%` : "0";
  $("bar").setAttribute("aria-valuemax", String(mine));
  $("bar").setAttribute("aria-valuenow", String(answered));
  $("bar").title = `${answered} of ${mine} answered by you; ${counts.with_verdict} of ${counts.total} have a verdict`;
  document.title = `label ${seen.task} (${counts.left} left)`;
  $("queues").replaceChildren(...QUEUES.map((queue) => {
    const left = seen.queues[queue].left;
    const node = button(queue, "", () => toQueue(queue));
    node.append(make("span", "left", !seen.queues[queue].total ? "empty" : queue === state.queue ? `${answered} of ${mine}` : `${left} left`));
    node.setAttribute("aria-current", String(queue === state.queue));
    return node;
  }));
}

function draw() {
  drawActions();
  if (!state.seen) return;
  drawHead();
  const { question, voted } = state;
  document.querySelector("main").classList.toggle("alone", !question);
  $("work").hidden = !question;
  if (!question) {
    $("conversation").replaceChildren(nothingLeft());
    return;
  }
  if ($("conversation").dataset.of !== question.review_id || !$("conversation").querySelector(".turn")) {
    $("conversation").dataset.of = question.review_id;
    $("conversation").replaceChildren(...question.conversation.map(turn));
    if (!question.conversation.length) $("conversation").append(make("p", "hint", "Nothing was said before the answer."));
  }
  drawAnswer();
  $("note").hidden = !(state.commenting || (voted && voted.comment));
  if (document.activeElement !== $("comment")) $("comment").value = voted ? voted.comment || "" : state.draft.comment;
  $("comment").readOnly = Boolean(voted);
  $("judge").replaceChildren(...(voted ? [verdict(voted)] : []));
}

// --- keys ------------------------------------------------------------------------------------------------------------------

function typing(event) {
  // Keys while something is being typed.
  if (event.isComposing || !["Enter", "Escape"].includes(event.key) || event.shiftKey) return;
  event.preventDefault();
  if (event.target.id === "comment") {
    event.target.blur();
    state.commenting = Boolean(state.draft.comment);
    draw();
  } else {
    finishEditing(event.key === "Enter");
  }
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLInputElement) { typing(event); return; }
  if (event.repeat) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const onButton = event.target instanceof HTMLButtonElement && (key === "Enter" || key === " ");
  const open = state.question && !state.voted;
  const does = {
    u: undo, a: showAgreement, q: nextQueue,
    "?": () => $("keys").showModal(),
    ...(open ? { c: edit, n: typeComment, s: pass, " ": pass } : {}),
    ...(open ? Object.fromEntries(SCORES.map((_, at) => [String(at + 1), () => vote(at + 1)])) : {}),
    ...(state.voted ? { Enter: load, ArrowRight: load } : {}),
    ...(state.again ? { r: state.again } : {}),
  };
  if (onButton || !Object.hasOwn(does, key) || state.busy) return;
  event.preventDefault();
  does[key]();
}

document.addEventListener("keydown", pressed);
$("comment").addEventListener("input", (event) => { state.draft.comment = event.target.value; remember(); });
$("help").addEventListener("click", () => $("keys").showModal());
$("agreement").addEventListener("click", showAgreement);
$("retry").addEventListener("click", () => state.again && state.again());
draw();
load();
