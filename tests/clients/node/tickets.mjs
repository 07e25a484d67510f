// npm `eventsource` with what a browser has: node tickets.mjs MODE SERVER STREAM KEY. MODE is `ticket` or `cookie`.
// SERVER gives tickets, STREAM streams (through a proxy that cuts). Prints a line {"cursor", "data"} for each event.

import { EventSource } from "eventsource";

const [, , mode, server, stream, key] = process.argv;
const print = (value) => process.stdout.write(JSON.stringify(value) + "\n");
let last = "latest";

async function ask(body) {
  const headers = { "X-API-Key": key, "Content-Type": "application/json" };
  const answer = await fetch(`${server}/tickets`, { method: "POST", headers, body: JSON.stringify(body) });
  return { ...(await answer.json()), cookie: answer.headers.get("set-cookie")?.split(";")[0] };
}

function follow(source) {
  source.addEventListener("cursor", (event) => print({ what: "cursor", cursor: (last = event.lastEventId) }));
  source.addEventListener("goodbye", ({ data }) => print({ what: "goodbye", ...JSON.parse(data) }));
  source.onmessage = (event) => print({ what: "event", cursor: (last = event.lastEventId), data: JSON.parse(event.data) });
  return source;
}

// A ticket opens one stream: each connection takes a new one, and says where to go on.
async function byTicket() {
  const { ticket } = await ask({ subscribe: ["shop.*"] });
  const query = new URLSearchParams({ type: "shop.*", after: last, ticket });
  const source = follow(new EventSource(`${stream}/events?${query}`));
  source.onerror = () => {
    source.close();
    setTimeout(byTicket, 200);
  };
}

// A cookie goes with each request, so the EventSource comes back by itself.
async function byCookie() {
  const { cookie } = await ask({ cookie: true });
  const withCookie = (url, init) => fetch(url, { ...init, headers: { ...init.headers, Cookie: cookie } });
  const source = follow(new EventSource(`${stream}/events?type=shop.*`, { fetch: withCookie }));
  source.onerror = ({ code }) => source.readyState === EventSource.CLOSED && print({ what: "closed", code });
  process.stdin.once("data", async () => {
    const answer = await fetch(`${server}/tickets`, { method: "DELETE", headers: { Cookie: cookie } });
    print({ what: "logout", status: answer.status });
  });
}

await (mode === "ticket" ? byTicket : byCookie)();
