// What the page shows of an item. All text is put in as text: nothing of it is ever read as HTML.

const ROLES = { user: "User", assistant: "Assistant", system: "System", developer: "System", tool: "Tool", function: "Tool" };
const LONG = 1200;
const WORDS_COMPARED = 1500;

export function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function button(text, key, onClick, className) {
  const node = make("button", className, text, key ? make("kbd", "", key) : null);
  if (key) node.firstChild.textContent = `${text} `;
  node.type = "button";
  node.addEventListener("click", onClick);
  return node;
}

function words(text) {
  const node = make("div", "words", text);
  node.dir = "auto";
  return node;
}

function folded(holder, text) {
  // Long texts are cut to sight, with a way to see them whole.
  if (text.length <= LONG && text.split("\n").length <= 14) return holder;
  holder.classList.add("clipped");
  const all = button(`Show all ${text.length.toLocaleString("en")} characters`, "", () => {
    holder.classList.remove("clipped");
    all.remove();
  }, "more");
  holder.append(all);
  return holder;
}

function call(one) {
  return folded(make("div", "call", make("span", "name", one.name), make("pre", "", one.arguments)), one.arguments);
}

export function turn(message) {
  const known = Object.hasOwn(ROLES, message.role);
  const who = make("div", "who", known ? ROLES[message.role] : message.role, message.name ? ` · ${message.name}` : "");
  const node = make("article", `turn ${known ? message.role : ""}`, who);
  if (message.text) node.append(folded(make("div", "said", words(message.text)), message.text));
  node.append(...message.calls.map(call));
  if (!message.text && !message.calls.length) node.append(make("div", "said", make("em", "", "nothing")));
  return node;
}

export function answer(message, body, when) {
  const node = make("article", "answer", make("div", "who", `The answer of ${when.slice(0, 16).replace("T", " ")} UTC`));
  if (message === null) {
    node.append(make("em", "", "The call ended without an answer."));
    return node;
  }
  if (body) node.append(body);
  else if (message.text) node.append(words(message.text));
  else if (!message.calls.length) node.append(make("em", "", "The answer is empty."));
  node.append(...message.calls.map(call));
  return node;
}

export function changes(before, after) {
  // What was corrected, word by word (longest common subsequence); very long texts are shown one after the other.
  const a = before.match(/\s+|[^\s]+/g) || [];
  const b = after.match(/\s+|[^\s]+/g) || [];
  const node = words("");
  if (a.length > WORDS_COMPARED || b.length > WORDS_COMPARED) {
    node.append(make("del", "", before), "\n\n", make("ins", "", after));
    return node;
  }
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const at = i * width + j;
      common[at] = a[i] === b[j] ? common[at + width + 1] + 1 : Math.max(common[at + width], common[at + 1]);
    }
  }
  const steps = [];
  const put = (kind, word) => {
    if (steps.at(-1)?.kind === kind) steps.at(-1).text += word;
    else steps.push({ kind, text: word });
  };
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { put("same", a[i]); i++; j++; }
    else if (i < a.length && (j === b.length || common[(i + 1) * width + j] >= common[i * width + j + 1])) put("del", a[i++]);
    else put("ins", b[j++]);
  }
  node.append(...phrases(steps));
  return node;
}

function phrases(steps) {
  // Changed words with nothing but a space between them are one change: a phrase is read more easily than its words.
  const nodes = [];
  let gone = "";
  let come = "";
  const close = () => {
    if (gone) nodes.push(make("del", "", gone));
    if (gone && come) nodes.push(" ");
    if (come) nodes.push(make("ins", "", come));
    gone = come = "";
  };
  steps.forEach(({ kind, text }, at) => {
    const between = kind === "same" && (gone || come) && at + 1 < steps.length && /^[ \t]+$/.test(text);
    if (kind !== "ins" && (kind === "del" || between)) gone += text;
    if (kind === "ins" || between) come += text;
    if (kind === "same" && !between) { close(); nodes.push(text); }
  });
  close();
  return nodes;
}

export function verdict(voted) {
  const opinion = voted.opinion;
  const yours = make("div", "", make("div", "who", "You"), make("div", "big", String(voted.score)));
  const node = make("div", "verdict", make("div", "side", yours));
  if (opinion === null) {
    node.append(make("p", "hint", "No judge has looked at this one yet."));
  } else {
    const overall = opinion.overall === null ? "–" : opinion.overall.toFixed(1);
    node.firstChild.append(make("div", "", make("div", "who", `Judge ${opinion.judge}`), make("div", "big", overall)));
    if (opinion.note) node.append(make("p", "hint", `No score: ${opinion.note}.`));
    if (opinion.scores.length) node.append(table(["criterion", "score", "reason"], opinion.scores, 1));
  }
  if (voted.reason) node.append(make("p", "hint", `In this queue because: ${voted.reason}`));
  return node;
}

export function table(heads, rows, numeric) {
  const head = make("tr", "", ...heads.map((text) => make("th", "", text)));
  const cell = (value, at) => make("td", at === numeric ? "number" : "", String(value));
  return make("table", "", make("thead", "", head), make("tbody", "", ...rows.map((row) => make("tr", "", ...row.map(cell)))));
}

const coefficient = (found) => `${found.value.toFixed(2)} (${found.low.toFixed(2)} to ${found.high.toFixed(2)})`;

export function agreement(found, counts) {
  const node = make("div", "figures");
  const names = Object.keys(counts.verdicts);
  if (names.length) node.append(table(["who", "verdicts", "passed"], names.map((name) => [name, counts.verdicts[name], counts.passes[name]])));
  const people = found.people
    ? `Between people, over ${found.shared} shared items: Krippendorff's alpha ${coefficient(found.people)}.`
    : `Between people: ${found.shared} items with two scores; from 10 on their agreement is shown.`;
  node.append(make("p", "", people));
  const pairs = found.pairs.map((pair) => [`${pair.first}, ${pair.second}`, pair.items, pair.kappa ? coefficient(pair.kappa) : "from 10 items on"]);
  if (pairs.length > 1) node.append(table(["pair", "items", "weighted kappa"], pairs));
  const judge = found.judge;
  if (!judge.items) node.append(make("p", "", "With the judge: nothing that both have scored."));
  else {
    const by = Math.abs(judge.difference).toFixed(2);
    const scored = `With the judge, over ${judge.items} items: it scores ${by} ${judge.difference < 0 ? "lower" : "higher"} than people on average`;
    node.append(make("p", "", judge.kappa ? `${scored}; weighted kappa ${coefficient(judge.kappa)}.` : `${scored}; kappa from 10 items on.`));
  }
  const chosen = "These items were chosen, not drawn: the figures hold for them and say nothing of all traffic. ";
  node.append(make("p", "small", `${found.queue === "useful" ? chosen : ""}In brackets 95% intervals. 1 is full agreement, 0 no more than chance.`));
  return node;
}
