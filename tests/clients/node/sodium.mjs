// Calls npm `libsodium-wrappers`, its sumo build and `tweetnacl` by name, as told on stdin:
// {"library", "call", "arguments"} is answered with {"value"} or {"error"}. Bytes travel as {"base64"}.

import { createInterface } from "node:readline";
import sodium from "libsodium-wrappers";
import sumo from "libsodium-wrappers-sumo";
import nacl from "tweetnacl";

await Promise.all([sodium.ready, sumo.ready]);
const libraries = { sodium, sumo, nacl };

function read(value) {
  return value?.base64 === undefined ? value : new Uint8Array(Buffer.from(value.base64, "base64"));
}

function write(value) {
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") };
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, write(one)]));
}

for await (const line of createInterface({ input: process.stdin })) {
  const { library, call, arguments: given } = JSON.parse(line);
  const found = call.split(".").reduce((place, name) => place[name], libraries[library]);
  let answer;
  try {
    answer = { value: write(found(...given.map(read))) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
