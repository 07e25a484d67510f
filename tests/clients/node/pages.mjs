// Chromium with pages that a reader uses by their labels: node pages.mjs CHROMIUM PROFILE. A JSON line on stdin,
// {"page", "act", "with"}, is answered by one on stdout: {"value"} or {"error"}.

import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [, , executablePath, profile] = process.argv;
const args = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
  "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
];
const context = await chromium.launchPersistentContext(profile, { executablePath, args, headless: true });
context.setDefaultTimeout(10_000);
const pages = {};

const acts = {
  open: async (name, url) => {
    const page = (pages[name] = await context.newPage());
    page.on("pageerror", (error) => process.stderr.write(`${name}: ${error}\n`));
    page.on("console", (message) => process.stderr.write(`${name}: ${message.text()}\n`));
    await page.goto(url);
  },
  fill: (page, label, text) => page.getByLabel(label, { exact: true }).fill(text),
  check: (page, label) => page.getByLabel(label).check(),
  press: (page, name) => page.getByRole("button", { name }).click(),
  text: (page, role) => page.getByRole(role).textContent(),
  items: (page) => page.getByRole("listitem").evaluateAll((items) => items.map((item) => {
    const [verdict, text] = item.childNodes;
    return [item.className, verdict.textContent + text.textContent];
  })),
  focused: (page) => page.evaluate(() => document.activeElement.id),
  screenshot: (page, path) => page.screenshot({ path, fullPage: true }).then(() => path),
  close: (page) => page.close(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { page, act, with: given } = JSON.parse(line);
  const done = act === "open" ? acts.open(page, ...given) : acts[act](pages[page], ...given);
  const answer = await done.then((value) => ({ value: value ?? null }), (error) => ({ error: String(error) }));
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await context.close();
