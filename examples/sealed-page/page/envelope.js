// Opens envelopes of version 1 with a Curve25519 key pair, as docs/reference/envelope.md describes them.
import sodium from "libsodium-wrappers";

await sodium.ready;

const MARK = "eventstream-envelope";
const MEMBERS = ["alg", "bound", "ciphertext", MARK, "nonce", "recipients"];
const ALG = "xchacha20poly1305";
const KEY_BYTES = sodium.crypto_aead_xchacha20poly1305_ietf_KEYBYTES;
const INSIDE = ["data", "data_base64", "datacontenttype", "dataschema", "signature", "signaturekey"];

const decode = (text) => sodium.from_base64(text, sodium.base64_variants.ORIGINAL);

export class NotForUs extends Error {}

export function isSealed({ data }) {
  return data !== null && typeof data === "object" && MARK in data;
}

// Returns the event as it was before it was sealed. Throws NotForUs when `kid` is none of its readers,
// another Error when it was altered or is no envelope of version 1.
export function openEnvelope(event, kid, keys) {
  const envelope = event.data;
  if (JSON.stringify(Object.keys(envelope).sort()) !== JSON.stringify(MEMBERS)) throw new Error("this is no envelope");
  if (envelope[MARK] !== 1 || envelope.alg !== ALG) throw new Error("this envelope's version is not known");
  const mine = envelope.recipients.find((one) => one.kid === kid && one.alg === "sealed-box");
  if (mine === undefined) throw new NotForUs("this envelope is for others");
  const contentKey = sodium.crypto_box_seal_open(decode(mine.key), keys.publicKey, keys.privateKey);
  if (contentKey.length !== KEY_BYTES) throw new Error("this envelope's key has a wrong length");
  const plaintext = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
    null,
    decode(envelope.ciphertext),
    associated(event),
    decode(envelope.nonce),
    contentKey,
  );
  const inner = JSON.parse(sodium.to_string(plaintext));
  const opened = { ...event };
  for (const name of INSIDE) {
    if (name in inner) opened[name] = inner[name];
    else delete opened[name]; // what stands outside is about the envelope
  }
  return opened;
}

// What the cipher covers beside the data: recipients and attributes cannot be changed unnoticed.
function associated(event) {
  const { bound, recipients } = event.data;
  const wrapped = recipients.map((one) => [one.kid, one.alg, one.key]);
  const attributes = bound.map((name) => [name, event[name] ?? null]);
  return sodium.from_string(JSON.stringify([MARK, 1, ALG, wrapped, attributes]));
}
