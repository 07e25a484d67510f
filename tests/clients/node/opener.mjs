// Opens the published envelopes with an example's opener: node opener.mjs ENVELOPE_JS VECTORS. Prints a line for each:
// {"name", "opened"} or {"name", "error"}.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [, , opener, file] = process.argv;
const { openEnvelope } = await import(pathToFileURL(opener));
const { keys, vectors, refused } = JSON.parse(readFileSync(file));
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const pair = { publicKey: bytes(keys.warehouse.public), privateKey: bytes(keys.warehouse.private) };

for (const { name, sealed } of [...vectors, ...refused]) {
  let answer;
  try {
    answer = { opened: openEnvelope(sealed, "warehouse", pair) };
  } catch (error) {
    answer = { error: error.constructor.name };
  }
  process.stdout.write(JSON.stringify({ name, ...answer }) + "\n");
}
