import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { processesIn } from './proc.mjs';
import { attempt, must, start, until } from './run.mjs';

/**
 * What a run makes on this machine: network namespaces, processes in them, a folder. `clean` removes all of it, whatever
 * happened before, and touches nothing else: it ends the processes that it started, and those in its own namespaces.
 */
export class Lab {
  prefix = `wsb${process.pid}`;
  folder = mkdtempSync(path.join(tmpdir(), 'wirestream-bench-'));
  #children = new Set();
  #namespaces = new Set();
  #undo = [];
  #cleaned = false;

  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.once(signal, () => {
        this.clean();
        process.exit(130);
      });
    }
  }

  /** Makes a namespace with its loopback up. */
  namespace(label) {
    const namespace = new Namespace(this, `${this.prefix}-${label}`);
    must(['ip', 'netns', 'add', namespace.name]);
    this.#namespaces.add(namespace);
    must(['ip', '-n', namespace.name, 'link', 'set', 'lo', 'up']);
    return namespace;
  }

  /** Starts a program that goes on until it is stopped. */
  start(argv, options) {
    const started = start(argv, options);
    this.#children.add(started.child);
    started.done.then(
      () => this.#children.delete(started.child),
      () => this.#children.delete(started.child),
    );
    return started;
  }

  /** Has something undone by `clean`; the last first. */
  defer(action) {
    this.#undo.push(action);
  }

  /** Takes namespaces down again before the end. */
  async remove(namespaces) {
    for (const namespace of namespaces) this.#remove(namespace, 'SIGTERM');
    for (const namespace of namespaces) {
      await until(`the processes in ${namespace.name} to end`, () => namespace.pids().length === 0, 5000).catch(() =>
        this.#remove(namespace, 'SIGKILL'),
      );
      attempt(['ip', 'netns', 'del', namespace.name]);
      this.#namespaces.delete(namespace);
    }
  }

  clean() {
    if (this.#cleaned) return;
    this.#cleaned = true;
    for (const child of this.#children) child.kill('SIGKILL');
    for (const namespace of this.#namespaces) {
      this.#remove(namespace, 'SIGKILL');
      attempt(['ip', 'netns', 'del', namespace.name]);
    }
    for (const undo of this.#undo.reverse()) undo();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #remove(namespace, signal) {
    for (const pid of namespace.pids()) {
      try {
        process.kill(pid, signal);
      } catch {
        // gone since
      }
    }
  }
}

/** A network namespace. */
export class Namespace {
  constructor(lab, name) {
    this.lab = lab;
    this.name = name;
    this.file = `/run/netns/${name}`;
  }

  /** A command line that runs in here. */
  inside(argv) {
    return ['ip', 'netns', 'exec', this.name, ...argv];
  }

  run(argv, options) {
    return must(this.inside(argv), options);
  }

  start(argv, options) {
    return this.lab.start(this.inside(argv), options);
  }

  /** ip(8) commands, in one batch. */
  ip(...commands) {
    must(['ip', '-n', this.name, '-batch', '-'], { input: `${commands.join('\n')}\n` });
  }

  pids() {
    try {
      return processesIn(this.file);
    } catch {
      return [];
    }
  }
}
