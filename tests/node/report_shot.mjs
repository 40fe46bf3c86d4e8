// Opens a page in headless Chromium, carries out steps, takes screenshots, and prints what it saw.
//
//   node report_shot.mjs PLAN.json     PLAN: {url, out, width, height, dark, wait_ms, settle, steps}
//
// A step: {eval: "expression", name} records a value; {shot: "file.png", full: bool} takes a
// picture; {click: "selector"}, {press: "key"}, {drag: [x, y, to_x, to_y]}, {wait: ms}. The answer,
// on stdout: {console, requests, values}. Console messages of the software renderer itself are left
// out.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--disable-background-networking"],
});
const answer = { console: [], requests: [], values: {} };
try {
  const page = await browser.newPage({
    viewport: { width: plan.width ?? 1280, height: plan.height ?? 800 },
    colorScheme: plan.dark ? "dark" : "light",
  });
  page.on("console", (m) => {
    if (["error", "warning"].includes(m.type()) && !/GL Driver Message|GPU stall/.test(m.text())) answer.console.push(m.text());
  });
  page.on("pageerror", (e) => answer.console.push(String(e)));
  page.on("request", (r) => { if (!r.url().startsWith("data:")) answer.requests.push(r.url()); });
  await page.goto(plan.url);
  await page.waitForTimeout(plan.wait_ms ?? 600);
  for (const step of plan.steps ?? []) {
    if (step.eval) answer.values[step.name] = await page.evaluate(step.eval);
    if (step.click) await page.click(step.click);
    if (step.select) await page.selectOption(step.select, step.value);
    if (step.press) await page.keyboard.press(step.press);
    if (step.drag) {
      const [x, y, u, v] = step.drag;
      await page.mouse.move(x, y);
      await page.mouse.down();
      for (let i = 1; i <= 10; i++) { await page.mouse.move(x + ((u - x) * i) / 10, y + ((v - y) * i) / 10); await page.waitForTimeout(80); }
      await page.mouse.up();
    }
    if (step.wait) await page.waitForTimeout(step.wait);
    if (step.media) await page.emulateMedia({ media: step.media });
    if (step.size) await page.setViewportSize({ width: step.size[0], height: step.size[1] });
    if (step.shot) await page.screenshot({ path: `${plan.out}/${step.shot}`, fullPage: step.full ?? false });
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(answer));
