// The CloudEvents SDK publishes: node producer.mjs URL. Prints {"mode", "sent", "answer"} for each mode.
// Its binary mode cannot send attributes beyond Latin-1: it does not percent-encode.

import { CloudEvent, HTTP, Mode, emitterFor, httpTransport } from "cloudevents";

const url = process.argv[2];
const event = (mode, n) =>
  new CloudEvent({
    type: "sdk.said", source: "/sdk/js", id: `${mode}-${n}`, subject: "a b", time: "2026-03-04T05:06:07.089Z",
    datacontenttype: "application/json", partition: "7", data: { mode, n, text: "é\u2028" },
  });
const show = (mode, sent, answer) => process.stdout.write(JSON.stringify({ mode, sent, answer: JSON.parse(answer) }) + "\n");

for (const mode of [Mode.BINARY, Mode.STRUCTURED]) {
  const sent = event(mode, 1);
  const { body } = await emitterFor(httpTransport(url), { mode })(sent);
  show(mode, [sent], body);
}

const batch = [event("batch", 1), event("batch", 2)]; // the SDK reads batches and does not write them
const body = JSON.stringify(batch.map((one) => JSON.parse(HTTP.structured(one).body)));
const headers = { "content-type": "application/cloudevents-batch+json" };
show("batch", batch, await (await fetch(url, { method: "POST", headers, body })).text());
