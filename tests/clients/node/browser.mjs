// Chromium with one page: node browser.mjs CHROMIUM PROFILE URL. Prints what the page logs, a JSON line each;
// a JSON line on stdin is handed to the page's `told`.

import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [, , executablePath, profile, url] = process.argv;
const args = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
  "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
];
const context = await chromium.launchPersistentContext(profile, { executablePath, args, headless: true });
const page = context.pages()[0] ?? (await context.newPage());
page.on("console", (message) => {
  const text = message.text();
  if (text.startsWith("{")) process.stdout.write(text + "\n");
  else process.stderr.write(text + "\n");
});
page.on("pageerror", (error) => process.stderr.write(`${error}\n`));
await page.goto(url);
for await (const line of createInterface({ input: process.stdin })) {
  await page.evaluate((message) => globalThis.told(message), JSON.parse(line));
}
await context.close();
