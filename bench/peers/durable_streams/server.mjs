// The reference server as its README starts it: file-backed (each append is synced before it is answered).
// Compression is off: the others compress nothing, and the load generator asks for none.
import { DurableStreamTestServer } from "@durable-streams/server";

const [port, dataDir] = process.argv.slice(2);
const server = new DurableStreamTestServer({ port: Number(port), host: "127.0.0.1", dataDir, compression: false });
await server.start();
