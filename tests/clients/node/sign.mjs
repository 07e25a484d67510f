// npm `standardwebhooks` signs what comes on stdin: node sign.mjs SECRET. Answers {"id", "seconds", "body"} with {"signature"}.

import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.argv[2]);
for await (const line of createInterface({ input: process.stdin })) {
  const { id, seconds, body } = JSON.parse(line);
  process.stdout.write(JSON.stringify({ signature: webhook.sign(id, new Date(seconds * 1000), body) }) + "\n");
}
