// Real processes for the page test: a Redis, a keyferry, and a writer that keeps the stream busy. All on 127.0.0.1, all
// ended by stop_all().
import { spawn } from "node:child_process";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const children = [];

export function free_port() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function start(program, args, folder) {
  const child = spawn(program, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  child.text = "";
  child.stdout.on("data", (piece) => { child.text += piece; });
  child.stderr.on("data", (piece) => { child.text += piece; });
  child.ended = new Promise((resolve) => child.on("exit", resolve));
  children.push(child);
  return child;
}

export async function stop_all() {
  for (const child of children) if (child.exitCode === null) child.kill("SIGKILL");
  await Promise.all(children.map((child) => child.ended));
}

// One connection; ask() answers the first line of the reply, enough for what is asked here.
export class Redis {
  static async start(folder) {
    const port = await free_port();
    start("redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes",
                           "--repl-diskless-sync-delay", "0", "--dir", folder], folder);
    for (let i = 0; i < 100; ++i) {
      try { return await Redis.connect(port); } catch { await sleep(50); }
    }
    throw new Error("redis-server does not answer");
  }
  static connect(port) {
    return new Promise((resolve, reject) => {
      const socket = net.connect(port, "127.0.0.1");
      socket.once("error", reject);
      socket.once("connect", () => resolve(new Redis(socket, port)));
    });
  }
  constructor(socket, port) {
    Object.assign(this, { socket, port, uri: "redis://127.0.0.1:" + port });
    socket.on("error", () => {});
  }
  send(...args) {
    this.socket.write("*" + args.length + "\r\n" + args.map((a) => "$" + Buffer.byteLength(String(a)) + "\r\n" + a + "\r\n").join(""));
  }
  ask(...args) {
    const answer = new Promise((resolve, reject) => {
      this.socket.once("data", (bytes) => resolve(String(bytes).split("\r\n")[0]));
      this.socket.once("close", () => reject(new Error("the server closed the connection")));
    });
    this.send(...args);
    return answer;
  }
}

// Writes in waves, so that a chart of it moves.
export class Writer {
  static async start(port) {
    const writer = new Writer();
    writer.redis = await Redis.connect(port);
    writer.redis.socket.on("data", () => {});
    writer.running = writer.run();
    return writer;
  }
  async run() {
    for (let i = 0; !this.stopping; ++i) {
      const many = Math.round(140 + 90 * Math.sin(i / 40) + 40 * Math.random());
      for (let k = 0; k < many; ++k) this.redis.send("SET", "live:" + ((i * 131 + k) % 20000), "value " + i);
      await sleep(50);
    }
  }
  async stop() {
    this.stopping = true;
    await this.running;
  }
}

export async function keyferry(binary, folder, source, target, more = []) {
  const http = await free_port();
  const resp = await free_port();
  const child = start(binary, ["run", "--source", source.uri, "--target", target.uri, "--http", "127.0.0.1:" + http,
                               "--set", "admin.resp_listen=127.0.0.1:" + resp, "--set", "spool.dir=" + folder + "/spool", ...more], folder);
  child.url = "http://127.0.0.1:" + http + "/";
  for (let i = 0; i < 100; ++i) {
    try { await fetch(child.url + "status"); return child; } catch { await sleep(50); }
  }
  throw new Error("keyferry does not answer: " + child.text);
}
