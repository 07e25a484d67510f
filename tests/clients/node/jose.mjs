// npm `jose` as an identity provider. Prints {"jwks"}; answers {"alg", "claims", "kid"} on stdin with {"token"}.

import { createInterface } from "node:readline";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

const pairs = {};
const keys = [];
for (const alg of ["EdDSA", "ES256", "RS256"]) {
  pairs[alg] = await generateKeyPair(alg);
  keys.push({ ...(await exportJWK(pairs[alg].publicKey)), kid: `${alg}-1`, alg, use: "sig" });
}
const print = (value) => process.stdout.write(JSON.stringify(value) + "\n");
print({ jwks: { keys } });
for await (const line of createInterface({ input: process.stdin })) {
  const { alg, claims, kid = `${alg}-1` } = JSON.parse(line);
  print({ token: await new SignJWT(claims).setProtectedHeader({ alg, kid }).sign(pairs[alg].privateKey) });
}
