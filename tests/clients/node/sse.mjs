// One SSE client: node sse.mjs CLIENT URL. Prints a line {"cursor", "data"} for each event it hands out.
// Every client resumes by its own means, but for eventsource-parser, which only parses.

const [, , name, url] = process.argv;
const got = (cursor, data) => process.stdout.write(JSON.stringify({ cursor, data }) + "\n");
const isMessage = (event) => event === undefined || event === "" || event === "message";
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const clients = {
  async eventsource() {
    const { EventSource } = await import("eventsource");
    new EventSource(url).onmessage = (event) => got(event.lastEventId, event.data);
  },
  async undici() {
    const { EventSource } = await import("undici");
    new EventSource(url).onmessage = (event) => got(event.lastEventId, event.data);
  },
  async "reconnecting-eventsource"() {
    const { EventSource } = await import("eventsource");
    const { default: module } = await import("reconnecting-eventsource");
    const Reconnecting = module.default ?? module;
    const source = new Reconnecting(url, { eventSourceClass: EventSource, max_retry_time: 1500 });
    source.onmessage = (event) => got(event.lastEventId, event.data);
  },
  async "event-source-polyfill"() {
    const { default: module } = await import("event-source-polyfill");
    const source = new module.EventSourcePolyfill(url);
    source.onmessage = (event) => got(event.lastEventId, event.data);
  },
  async "eventsource-client"() {
    const { createEventSource } = await import("eventsource-client");
    createEventSource({ url, onMessage: ({ id, event, data }) => isMessage(event) && got(id, data) });
  },
  async "event-source-plus"() {
    const { EventSourcePlus } = await import("event-source-plus");
    new EventSourcePlus(url, { maxRetryInterval: 1500 }).listen({
      onMessage: ({ id, event, data }) => isMessage(event) && got(id, data),
    });
  },
  async "fetch-event-source"() {
    const { default: module } = await import("@microsoft/fetch-event-source");
    globalThis.window = globalThis;
    module.fetchEventSource(url, {
      fetch,
      openWhenHidden: true,
      onmessage: ({ id, event, data }) => isMessage(event) && got(id, data),
      onclose() {
        throw new Error("come back"); // its documented way to be reconnected after a clean end
      },
    });
  },
  async "eventsource-parser"() {
    const { createParser } = await import("eventsource-parser");
    let last;
    for (;;) {
      const parser = createParser({
        onEvent({ id, event, data }) {
          last = id ?? last;
          if (isMessage(event)) got(id, data);
        },
      });
      try {
        const headers = { accept: "text/event-stream", ...(last && { "last-event-id": last }) };
        const decoder = new TextDecoder();
        for await (const bytes of (await fetch(url, { headers })).body) parser.feed(decoder.decode(bytes, { stream: true }));
      } catch (error) {
        process.stderr.write(`cut: ${error}\n`);
      }
      await sleep(300);
    }
  },
};

setInterval(() => {}, 1 << 30); // undici's wait before it reconnects does not keep node alive
await clients[name]();
