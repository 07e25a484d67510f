// Opens envelopes with the page's own `open-envelope.mjs`: {"sealed", "kid", "key"} on stdin is answered with {"event"}
// or {"error"}. Given {"verify", "key"}, an event and a public key, it answers {"verified"}, by WebCrypto.

import { createInterface } from "node:readline";
import canonicalize from "canonicalize";
import { openEnvelope } from "./open-envelope.mjs";

const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));

async function verify({ signature, signaturekey, ...event }, key) {
  const imported = await crypto.subtle.importKey("raw", bytes(key), "Ed25519", false, ["verify"]);
  const message = new TextEncoder().encode(canonicalize(event));
  return crypto.subtle.verify("Ed25519", imported, bytes(signature), message);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { sealed, kid, key, verify: event } = JSON.parse(line);
  let answer;
  try {
    answer = event ? { verified: await verify(event, key) } : { event: await openEnvelope(sealed, kid, bytes(key)) };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
