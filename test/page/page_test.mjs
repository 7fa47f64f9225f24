// The dashboard as a person has it open: a snapshot, a live stream, a refused command, a phone, the dark, and every kind of
// button, in headless Chromium against real servers. Prints one line per claim; exit code 1 when one does not hold.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { keyferry, Redis, stop_all, Writer } from "./servers.mjs";

const { chromium } = createRequire(import.meta.url)("playwright-core");
const work = process.env.PAGE_WORK;
const shots = process.env.PAGE_SCREENSHOTS;
const binary = process.argv[2];
const done = (claim) => console.log("ok   " + claim);

async function until(claim, condition, limit_s = 30) {
  let last = "";
  for (const end = Date.now() + limit_s * 1000; Date.now() < end; await sleep(100)) {
    last = await condition();
    if (last === true) { done(claim); return; }
  }
  assert.fail(claim + ": " + last);
}

// What the page or the browser complains about. A refused verb (400, 401) is one that the test provokes.
function complaints_of(page) {
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    if (/status of 40[01]/.test(message.text())) return;
    complaints.push(message.text());
  });
  page.on("request", (request) => {
    if (new URL(request.url()).protocol !== "data:" && !request.url().startsWith(page.origin)) complaints.push("outside request: " + request.url());
  });
  return complaints;
}

// Contrast of texts on what is behind them (WCAG 2.2, 1.4.3: 4.5 to 1).
const worst_contrast = (page) => page.evaluate(() => {
  const channels = (text) => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (at) => {
    for (; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  let worst = { ratio: 99, text: "" };
  for (const at of document.querySelectorAll("p, h1, h2, li, td, th, dt, dd, span, button:not(:disabled), .value, .note, footer, a")) {
    if (!at.textContent.trim() || at.offsetParent === null) continue;
    const [a, b] = [light(channels(getComputedStyle(at).color)), light(behind(at))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst.ratio) worst = { ratio, text: at.textContent.trim().slice(0, 40) };
  }
  return worst;
});

const text = (page, id) => page.locator("#" + id).innerText();
const press = (page, id) => page.locator("#" + id).click();

async function follows_a_link(browser, source, target) {
  writeFileSync(work + "/token", "sesame\n");
  const link = await keyferry(binary, work, source, target,
      ["--set", "http.token_file=" + work + "/token", "--set", "errors.policy=skip", "--set", "errors.dead_letter_file=" + work + "/dead.resp"]);
  link.target = target;
  const page = await browser.newPage({ viewport: { width: 1180, height: 960 } });
  page.origin = link.url;
  const complaints = complaints_of(page);
  await page.goto(link.url);

  await until("the snapshot is shown while it runs", async () => {
    const percent = Number(await page.locator("#snapshot-bar").getAttribute("aria-valuenow"));
    return percent > 0 && percent < 100 && /^Copying the snapshot/.test(await text(page, "headline")) || await text(page, "headline");
  });
  assert.match(await text(page, "snapshot-text"), /^Snapshot: \d+ % · [\d,]+ of [\d,]+ keys/);
  assert.match(await text(page, "snapshot-eta"), /^about .* left$/);
  await page.screenshot({ path: shots + "/snapshot.png" });

  const writer = await Writer.start(source.port);
  await until("the link becomes steady", async () => /^(In sync|Following live)/.test(await text(page, "headline")) || await text(page, "headline"), 120);
  assert.equal(await page.locator("#steps li[aria-current=step]").innerText(), "Steady");
  assert.match(await text(page, "snapshot-text"), /1,500,000 keys|1,5\d\d,\d\d\d keys/);
  await until("throughput is shown", async () => /^[1-9][\d.]*( k)?\/s$/.test(await text(page, "rate")) || await text(page, "rate"));
  const curve = page.locator("#rate-chart path.curve");
  const before = await curve.getAttribute("d");
  await sleep(3500);
  const after = await curve.getAttribute("d");
  assert.ok(after.split("L").length >= before.split("L").length + 2, before + " -> " + after);
  done("the charts move while a stream runs");
  assert.equal(await text(page, "source"), "127.0.0.1:" + source.port);
  assert.equal(await text(page, "target"), "127.0.0.1:" + target.port);
  assert.ok(await page.locator("#lanes tr").count() >= 1);
  done("source, target and lanes are named");

  const box = await page.locator("#rate-chart").boundingBox();
  await page.mouse.move(box.x + box.width - 3, box.y + 40);
  assert.match(await text(page, "rate-read"), /\d+:\d\d/);
  await page.mouse.move(5, 5);
  done("a chart tells the value under the pointer");

  assert.ok(!await page.locator("#problems").isVisible());
  await target.ask("SET", "list", "no list");
  await source.ask("RPUSH", "list", "<b>one</b>");
  await until("a refused command is shown in words", async () => await page.locator("#dead-letter-list li").count() === 1);
  assert.match(await text(page, "dead-letter-text"), /refused 1 command for good/);
  assert.match(await text(page, "dead-letter-list"), /RPUSH.*list.*WRONGTYPE/s);
  await page.screenshot({ path: shots + "/dead-letter.png", fullPage: true });

  await looks(page, "light");
  await page.emulateMedia({ colorScheme: "dark" });
  await looks(page, "dark");
  await page.emulateMedia({ colorScheme: "light" });

  await uses_buttons(page, link);
  await writer.stop();
  assert.deepEqual(complaints, []);
  done("no error on the console, no outside request");
  await drains(page, link);
  await page.close();
}

async function looks(page, scheme) {
  const worst = await worst_contrast(page);
  assert.ok(worst.ratio >= 4.5, scheme + ": contrast " + worst.ratio.toFixed(2) + " of \"" + worst.text + "\"");
  await page.screenshot({ path: shots + "/" + scheme + ".png", fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, scheme + ": a phone has to scroll sideways: " + wide);
  await page.screenshot({ path: shots + "/phone-" + scheme + ".png", fullPage: true });
  await page.setViewportSize({ width: 1180, height: 960 });
  done(scheme + ": every text has contrast (worst " + worst.ratio.toFixed(1) + "), a phone shows all of it");
}

async function uses_buttons(page, link) {
  const phase = async () => (await (await fetch(link.url + "status")).json()).phase;
  assert.ok(await page.locator("#resume").isDisabled());

  await press(page, "pause");
  await press(page, "no");
  assert.ok(!await page.locator("#ask").isVisible());
  assert.notEqual(await phase(), "paused");
  done("a verb is asked for only after confirmation");

  await press(page, "pause");
  await press(page, "yes");
  await until("the token is asked for", () => page.locator("#token").isVisible());
  await page.locator("#token").fill("wrong");
  await press(page, "yes");
  await until("a wrong token is told", async () => /not accepted/.test(await text(page, "refusal")));
  await page.screenshot({ path: shots + "/token.png" });
  await page.locator("#token").fill("sesame");
  await page.keyboard.press("Enter");
  await until("pause works", async () => await phase() === "paused" && await text(page, "headline") === "Paused");
  assert.equal(await page.evaluate(() => document.activeElement.id), "resume", "the focus goes where it is of use");

  await press(page, "resume");
  assert.ok(!await page.locator("#token").isVisible(), "the token is asked for once");
  await press(page, "yes");
  await until("resume works", async () => /^(In sync|Following|Catching)/.test(await text(page, "headline")));
  await limits(page, link);
  await compares(page, link);
  await press(page, "resync");
  await press(page, "yes");
  await until("everything is copied again when that is asked for", async () => {
    const status = await (await fetch(link.url + "status")).json();
    return status.counters.full_resyncs === 1 && ["catch_up", "steady"].includes(status.phase) || status.phase;
  }, 120);
}

// A difference behind the link's back: found, and mended only when that is asked for.
async function compares(page, link) {
  const last = async () => (await (await fetch(link.url + "status")).json()).verify || {};
  await link.target.ask("SET", "only the target has this", "1");
  await press(page, "verify");
  assert.ok(await page.locator("#repair").isVisible() && !await page.locator("#sample-row").isVisible());
  await page.screenshot({ path: shots + "/compare.png" });
  await press(page, "yes");
  await until("a comparison is offered again when it is over", async () => (await last()).attempt === 1 && !(await last()).running
      && await page.locator("#verify").isEnabled(), 90);
  await until("a difference is shown", async () => /^Comparison 1, level digest: DIFFERENT, [\d,]+ keys, [1-9]\d* different, 0 repaired$/
      .test(await text(page, "compared")) || await text(page, "compared"));
  await press(page, "verify");
  assert.ok(!await page.locator("#repair_extra").isChecked());
  await page.locator("#repair").check();
  await page.locator("#repair_extra").check();
  await press(page, "yes");
  await until("and mended when that is asked for", async () => (await last()).attempt === 2 && (await last()).equal === true
      && /^Comparison 2, level digest: equal/.test(await text(page, "compared")) || await text(page, "compared"), 90);
  assert.match(await link.target.ask("EXISTS", "only the target has this"), /^:0/);
}

async function limits(page, link) {
  const now = async () => (await (await fetch(link.url + "status")).json()).limits;
  assert.equal(await text(page, "limit-text"), "No limits");
  await press(page, "limits");
  assert.ok(!await page.locator("#sample-row").isVisible());
  await page.locator("#target_ops_per_s").fill("50000");
  await page.locator("#target_bytes_per_s").fill("much");
  await press(page, "yes");
  await until("a limit that is none is told", async () => /target_bytes_per_s: not a size/.test(await text(page, "refusal")) || await text(page, "refusal"));
  await page.locator("#target_bytes_per_s").fill("20MiB");
  await page.screenshot({ path: shots + "/limits.png" });
  await page.keyboard.press("Enter");
  await until("limits are set, and shown", async () => {
    const set = await now();
    return set.target_ops_per_s === 50000 && set.target_bytes_per_s === 20971520 && set.source_bytes_per_s === 0
        && /^Limited to 50,000 commands and keys\/s to the target, 20.*MiB\/s to the target$/.test(await text(page, "limit-text"))
        || await text(page, "limit-text");
  });
  await press(page, "limits");
  assert.equal(await page.locator("#target_ops_per_s").inputValue(), "50000");
  for (const name of ["target_ops_per_s", "target_bytes_per_s"]) await page.locator("#" + name).fill("0");
  await press(page, "yes");
  await until("and lifted again", async () => await text(page, "limit-text") === "No limits");
}

async function drains(page, link) {
  await press(page, "drain");
  await press(page, "yes");
  assert.equal(await link.ended, 0, link.text);
  await until("drain ends the link, and the page says that it is gone", async () => /no answer since/.test(await text(page, "link-text")));
  assert.ok(await page.locator("#pause").isDisabled());
}

// The other end of the night: the page stays open over a restart, then hands over.
async function cuts_over(browser, source, target) {
  const link = await keyferry(binary, work, source, target, ["--set", "errors.policy=skip", "--set", "errors.dead_letter_file=" + work + "/dead.resp"]);
  const page = await browser.newPage();
  page.origin = link.url;
  const complaints = complaints_of(page);
  await page.goto(link.url);
  await until("without a token file none is asked for", async () => await page.locator("#cutover").isEnabled());
  assert.deepEqual(complaints, []);
  await press(page, "cutover");
  await page.locator("#sample").check();
  await press(page, "yes");
  assert.equal(await link.ended, 0, link.text);
  assert.match(link.text, /sampled keys are equal: keys=\d+/);
  const client = await Redis.connect(source.port);  // those from before were disconnected
  assert.match(await client.ask("SET", "after", "1"), /^-NOREPLICAS/);
  done("cut over fences the source and ends the link");
  await page.close();
}

// A source that is scanned: it has no offsets and no snapshot, but the page has all there is.
async function follows_a_scan(browser, source, target) {
  await source.ask("CONFIG", "SET", "notify-keyspace-events", "AE");
  const link = await keyferry(binary, work, source, target, ["--set", "source.mode=scan", "--set", "limits.target_ops_per_s=100000"]);
  const page = await browser.newPage({ viewport: { width: 1180, height: 960 } });
  page.origin = link.url;
  const complaints = complaints_of(page);
  await page.goto(link.url);
  await until("a scan is shown while it runs", async () => {
    const percent = Number(await page.locator("#snapshot-bar").getAttribute("aria-valuenow"));
    return percent > 0 && percent < 100 && /^Scan: database 0, [\d.]+ % \u00b7 [\d,]+ of 300,000 keys/.test(await text(page, "snapshot-text"))
        || await text(page, "snapshot-text");
  });
  await page.screenshot({ path: shots + "/scan.png" });
  assert.match(await text(page, "limit-text"), /^Limited to 100,000 commands/);
  const writer = await Writer.start(source.port);
  await until("a scanned link becomes steady", async () => /^(In sync|Following live)/.test(await text(page, "headline")) || await text(page, "headline"));
  await until("its throughput is shown", async () => /^[1-9][\d.]*( k)?\/s$/.test(await text(page, "rate")) || await text(page, "rate"));
  assert.equal(await text(page, "source"), "127.0.0.1:" + source.port);
  assert.match(await text(page, "lag-bytes"), /^\d[\d,]* keys?$/);
  assert.equal(await text(page, "lag-title"), "Lag, keys changed and not yet copied");
  assert.notEqual(await page.locator("#lag-chart path.curve").getAttribute("d"), "M0 0");
  assert.ok(await page.locator("#cutover").isDisabled());
  done("its lag is told in keys, and what it cannot do is not offered");
  await writer.stop();
  await page.screenshot({ path: shots + "/scan-steady.png", fullPage: true });
  assert.deepEqual(complaints, []);
  await drains(page, link);
  await page.close();
}

// What the README shows: a minute of a stream, with a pause in it.
async function takes_the_picture(browser, source, target) {
  const link = await keyferry(binary, work, source, target);
  const writer = await Writer.start(source.port);
  const page = await browser.newPage({ viewport: { width: 1000, height: 642 } });
  await until("steady", async () => (await (await fetch(link.url + "status")).json()).phase === "steady");
  await sleep(4000);  // the snapshot's rate would make everything after it look small
  await page.goto(link.url);
  await sleep(30000);
  await fetch(link.url + "pause", { method: "POST" });
  await sleep(4000);
  await fetch(link.url + "resume", { method: "POST" });
  await sleep(22000);
  await page.screenshot({ path: process.env.PAGE_PICTURE });
  await writer.stop();
}

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
setTimeout(async () => {
  console.error("page: takes too long");
  await stop_all();
  process.exit(1);
}, 400000).unref();
try {
  const source = await Redis.start(work);
  const target = await Redis.start(work);
  await source.ask("DEBUG", "POPULATE", process.env.PAGE_PICTURE ? "250000" : "1500000", "key", "32");
  if (process.env.PAGE_PICTURE) {
    await takes_the_picture(browser, source, target);
  } else {
    await follows_a_link(browser, source, target);
    await cuts_over(browser, source, target);
    const scanned = await Redis.start(work);
    await scanned.ask("DEBUG", "POPULATE", "300000", "key", "32");
    await follows_a_scan(browser, scanned, await Redis.start(work));
  }
} finally {
  await browser.close();
  await stop_all();
}
console.log("page: ok, screenshots in " + shots);
