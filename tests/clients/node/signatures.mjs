// Libraries of npm sign what comes on stdin: node signatures.mjs SEED SECRET. Each line is answered by one line.

import { createPrivateKey, sign } from "node:crypto";
import { createInterface } from "node:readline";
import { sign as signHook } from "@octokit/webhooks-methods";
import canonicalize from "canonicalize";
import { createSigner, httpbis } from "http-message-signatures";

const [seed, secret] = process.argv.slice(2);
const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.from(seed, "base64")]);
const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });

const schemes = {
  message: async ({ method, url, headers, fields, alg, keyid, nonce }) => {
    const signer = createSigner(alg === "ed25519" ? key : Buffer.from(secret, "base64"), alg, keyid);
    const params = ["created", "expires", "nonce", "keyid", "alg"];
    const signed = await httpbis.signMessage(
      { key: signer, fields, params, paramValues: { nonce } }, { method, url, headers },
    );
    return { headers: signed.headers };
  },
  event: async ({ event }) => ({
    canonical: canonicalize(event),
    signature: sign(null, Buffer.from(canonicalize(event)), key).toString("base64"),
  }),
  github: async ({ body, secret: own }) => ({ signature: await signHook(own, body) }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { scheme, ...given } = JSON.parse(line);
  process.stdout.write(JSON.stringify(await schemes[scheme](given)) + "\n");
}
