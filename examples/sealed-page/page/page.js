// Makes a key pair, gives the server its public half, subscribes, and opens what is sealed for it.
import sodium from "libsodium-wrappers";
import { NotForUs, isSealed, openEnvelope } from "./envelope.js";

// Another server: open this page as ?server=http://127.0.0.1:4000
const server = new URLSearchParams(location.search).get("server") ?? "http://127.0.0.1:3000";
const SHOWN = 200; // events
const KNOWN_MS = 1000; // until every worker of the server knows a new key
const BASE64 = sodium.base64_variants.ORIGINAL;
const element = (id) => document.getElementById(id);

let apiKey = "";
let keys = null; // the private half lives in this page's memory only
let kid = "";
let lastEventId = "";
let lastSealed = null;

async function ask(path, body) {
  const answer = await fetch(server + path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${apiKey}` },
    body: JSON.stringify(body),
  });
  const reply = await answer.json();
  if (answer.ok) return reply;
  throw Object.assign(new Error(`${path} answers ${answer.status}: ${reply.detail}`), { status: answer.status });
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function register() {
  keys = sodium.crypto_box_keypair();
  const public_key = sodium.to_base64(keys.publicKey, BASE64);
  ({ kid } = await ask("/crypto", { operation: "register_key", owner: "readers", public_key, expires: "8h" }));
  element("kid").textContent = kid;
  await wait(KNOWN_MS);
}

// An EventSource sends no headers: a ticket, good for one stream, stands for the API key.
async function subscribe() {
  const { ticket } = await ask("/tickets", { subscribe: [{ type: "letter.*" }] });
  const query = new URLSearchParams({ type: "letter.*", ticket, lastEventId });
  const stream = new EventSource(`${server}/events?${query}`);
  stream.onopen = () => say("connected");
  stream.onmessage = receive;
  stream.addEventListener("cursor", (message) => { lastEventId = message.lastEventId; });
  stream.addEventListener("gap", () => show("refused", "Lost", "letters that the server no longer has"));
  stream.onerror = () => {
    stream.close(); // its ticket is used up
    comeBack();
  };
}

async function comeBack() {
  say("away, coming back");
  for (;;) {
    await wait(1000);
    try {
      return await subscribe();
    } catch (error) {
      if (error.status !== 401 && error.status !== 403) continue;
      say("not connected");
      element("answer").textContent = error.message;
      return;
    }
  }
}

function receive(message) {
  lastEventId = message.lastEventId;
  const event = JSON.parse(message.data);
  if (isSealed(event)) {
    lastSealed = event;
    element("tamper").disabled = kid === "";
  }
  read(event);
}

function read(event, what = "this envelope") {
  if (!isSealed(event)) return show("refused", "Not sealed", JSON.stringify(event.data), event);
  try {
    const { data } = openEnvelope(event, kid, keys);
    show("opened", "Opened", data?.text ?? JSON.stringify(data), event);
  } catch (error) {
    if (error instanceof NotForUs) show("sealed", "Sealed", "for others", event);
    else show("refused", "Refused", `${what}: ${error.message}`, event);
  }
}

function say(state) {
  element("state").textContent = state;
}

function show(kind, verdict, text, event) {
  const item = document.createElement("li");
  const word = document.createElement("strong");
  item.className = kind;
  word.textContent = `${verdict}:`; // text, never HTML: events come from others
  item.append(word, ` ${text}`);
  if (event) {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    const whole = document.createElement("pre");
    summary.textContent = "what came";
    whole.textContent = JSON.stringify(event, null, 2);
    details.append(summary, whole);
    item.append(details);
  }
  element("events").prepend(item);
  while (element("events").children.length > SHOWN) element("events").lastElementChild.remove();
}

function on(id, what, act) {
  element(id).addEventListener(what, async (happened) => {
    happened.preventDefault();
    element("answer").textContent = "";
    try {
      await act();
    } catch (error) {
      element("answer").textContent = error.message;
    }
  });
}

on("start", "submit", async () => {
  apiKey = element("key").value.trim();
  if (kid === "" && !element("keyless").checked) await register();
  await subscribe();
  element("start").hidden = true;
  element("write").hidden = false;
  element("text").select();
});

on("write", "submit", async () => {
  await ask("/events", { type: "letter.sent", source: "/page", data: { text: element("text").value } });
  element("text").select();
});

// What somebody on the way could do: change the text, or say that it is of another subject.
on("tamper", "click", () => {
  const ciphertext = sodium.from_base64(lastSealed.data.ciphertext, BASE64);
  ciphertext[0] ^= 1;
  const altered = sodium.to_base64(ciphertext, BASE64);
  read({ ...lastSealed, data: { ...lastSealed.data, ciphertext: altered } }, "one bit of its text is altered");
  read({ ...lastSealed, subject: "another" }, "its subject is altered");
});
