// One WebSocket client: node websocket.mjs CLIENT SUBPROTOCOL URL TYPE.
// Prints {"cursor", "event"} for each event; when it is cut it connects again behind the last cursor.

import ReconnectingWebSocket from "reconnecting-websocket";
import { WebSocket as UndiciWebSocket } from "undici";
import WebSocket from "ws";

const [, , name, protocol, base, type] = process.argv;
const got = (cursor, event) => process.stdout.write(JSON.stringify({ cursor, event }) + "\n");
let last;

function address() {
  if (protocol === "eventstream.v1") return base;
  return `${base}?type=${type}` + (last ? `&after=${encodeURIComponent(last)}` : "");
}

function opened(socket) {
  if (protocol === "eventstream.v1") socket.send(JSON.stringify({ op: "subscribe", id: "a", type, after: last ?? "latest" }));
}

function received(text) {
  const message = JSON.parse(text);
  const [event, isEvent] =
    protocol === "eventstream.v1" ? [message.event, message.op === "event"] : [message, message.source !== "/eventstream"];
  if (isEvent) got(message.cursor, event);
  last = message.cursor ?? last;
}

function again(connect) {
  setTimeout(connect, 200);
}

const clients = {
  ws() {
    const socket = new WebSocket(address(), protocol);
    socket.on("open", () => opened(socket));
    socket.on("message", (data) => received(data.toString()));
    socket.on("error", (error) => process.stderr.write(`cut: ${error}\n`));
    socket.on("close", () => again(clients.ws));
  },
  undici() {
    const socket = new UndiciWebSocket(address(), protocol);
    socket.onopen = () => opened(socket);
    socket.onmessage = ({ data }) => received(data);
    socket.onclose = () => again(clients.undici);
  },
  "reconnecting-websocket"() {
    const options = { WebSocket, minReconnectionDelay: 200, maxReconnectionDelay: 500 };
    const socket = new ReconnectingWebSocket(address, protocol, options);
    socket.addEventListener("open", () => opened(socket));
    socket.addEventListener("message", ({ data }) => received(data));
  },
};

clients[name]();
