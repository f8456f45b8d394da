// Ask the gateway from Node without a package: the answer is printed as it comes, and a verdict is sent. GATEWAY and KEY may be set.
const gateway = process.env.GATEWAY ?? "http://127.0.0.1:8787/v1";
const headers = { authorization: `Bearer ${process.env.KEY ?? "none"}`, "content-type": "application/json" };

const answer = await fetch(`${gateway}/chat/completions`, {
  method: "POST",
  headers: { ...headers, "x-continuum-conversation-id": process.env.CONVERSATION ?? `node-${process.pid}` },
  body: JSON.stringify({
    model: "gpt-4o-mini",
    stream: true,
    messages: [{ role: "user", content: process.argv[2] ?? "Where is my order?" }],
  }),
});
if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);

let waiting = "";
for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
  const lines = (waiting + piece).split("\n");
  waiting = lines.pop();
  for (const line of lines) {
    if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
    process.stdout.write(JSON.parse(line.slice(6)).choices[0]?.delta?.content ?? "");
  }
}
console.log();

const verdict = await fetch(`${gateway}/feedback`, {
  method: "POST",
  headers,
  body: JSON.stringify({ interaction_id: answer.headers.get("x-continuum-interaction-id"), score: 5, label: "good" }),
});
if (!verdict.ok) throw new Error(`${verdict.status}: ${await verdict.text()}`);
