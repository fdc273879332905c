/** Which kernel modules have to be loaded for some others, and in which order: the work of depmod, from what the modules say of themselves. */

export interface ModuleSource {
  /** path of the module of that name, with `_` for `-`; undefined when there is none (it may be built in) */
  path(name: string): string | undefined;
  /** the module, decompressed */
  read(path: string): Uint8Array;
}

export interface OrderedModule {
  readonly name: string;
  readonly path: string;
  readonly image: Uint8Array;
}

/** `foo-bar` and `foo_bar` are the same module. */
export function moduleName(text: string): string {
  return text.replace(/-/g, '_');
}

/** The name of the module in a file such as `kernel/net/foo-bar.ko.xz`; null when it is none. */
export function moduleOfFile(path: string): string | null {
  const match = /([^/]+)\.ko(\.(xz|zst|gz))?$/.exec(path);
  return match === null ? null : moduleName(match[1]!);
}

/** Values of a key of a module's .modinfo section, in order. */
export function modinfo(image: Uint8Array, key: string): string[] {
  // Entries end in a zero byte; the section follows one, or an entry before it does. Looking through the whole file finds them without ELF.
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.length);
  const values: string[] = [];
  const pattern = Buffer.from(`\0${key}=`);
  for (let at = bytes.indexOf(pattern); at >= 0; at = bytes.indexOf(pattern, at + 1)) {
    const begin = at + pattern.length;
    const end = bytes.indexOf(0, begin);
    values.push(bytes.toString('latin1', begin, end < 0 ? bytes.length : end));
  }
  return values;
}

/**
 * The modules and all that they depend on, each after what it depends on.
 * @param wanted must exist
 * @param optional are passed over when they do not (built in, or not in this kernel)
 * @throws Error naming a module that is missing, or a circle
 */
export function loadOrder(
  source: ModuleSource,
  wanted: readonly string[],
  optional: readonly string[] = [],
): OrderedModule[] {
  const done = new Map<string, OrderedModule>();
  const under: string[] = [];
  const visit = (raw: string, missing: 'fail' | 'skip'): void => {
    const name = moduleName(raw);
    if (done.has(name)) return;
    if (under.includes(name)) throw new Error(`modules depend on each other: ${[...under, name].join(' → ')}`);
    const path = source.path(name);
    if (path === undefined) {
      if (missing === 'skip') return;
      throw new Error(`no module ${[...under, name].join(' → ')}`);
    }
    const image = source.read(path);
    under.push(name);
    for (const dependency of dependencies(image)) visit(dependency, 'fail');
    for (const soft of softDependencies(image)) visit(soft, 'skip');
    under.pop();
    done.set(name, { name, path, image });
  };
  for (const name of wanted) visit(name, 'fail');
  for (const name of optional) visit(name, 'skip');
  return [...done.values()];
}

function dependencies(image: Uint8Array): string[] {
  return modinfo(image, 'depends').flatMap((list) => list.split(',').filter(Boolean));
}

/** `softdep=pre: a b post: c`: only what goes before matters for the order. */
function softDependencies(image: Uint8Array): string[] {
  return modinfo(image, 'softdep').flatMap((text) => {
    const before = /(?:^|\s)pre:((?:\s+[^\s:]+(?!\S*:))*)/.exec(text);
    return before === null ? [] : before[1]!.split(/\s+/).filter(Boolean);
  });
}
