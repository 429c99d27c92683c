/**
 * The YAML file as a source: text in, values by option key out, each with its line.
 *
 * The document is walked as nodes, not converted as a whole, so that every complaint names its
 * line and an alias bomb is never expanded. Duplicate keys, several documents, unknown tags and
 * anything that the parser merely warns about are refused.
 */
import {
  isAlias,
  isMap,
  isScalar,
  LineCounter,
  type Node,
  parseDocument,
  type Document,
} from 'yaml';
import { lowerFirst } from './faults.ts';
import { configInvalid, type Sourced, type SourceResult, unknownName } from './layer.ts';
import { CONFIG_OPTIONS, OPTION_BY_KEY } from './options.ts';

/** Largest file, in UTF-16 code units. */
export const YAML_MAX_LENGTH = 1024 * 1024;

/** Nodes that aliases of one value may expand to in all. */
const ALIAS_MAX_COUNT = 100;

const PRESET_KEY = 'preset';

interface Context {
  readonly file: string;
  readonly document: Document;
  readonly lines: LineCounter;
}

/**
 * @param file how messages name the file.
 * @throws config_invalid naming file and line. An empty file says nothing and is fine.
 */
export function readYamlLayer(text: string, file: string): SourceResult {
  if (text.length > YAML_MAX_LENGTH) {
    throw configInvalid(`${file} has ${text.length} characters, the limit is ${YAML_MAX_LENGTH}`);
  }
  const lines = new LineCounter();
  const document = guarded(file, () => parse(text, file, lines));
  return guarded(file, () => readDocument({ file, document, lines }));
}

function parse(text: string, file: string, lines: LineCounter): Document {
  const document = parseDocument(text.replace(/^\uFEFF/, ''), {
    lineCounter: lines,
    version: '1.2',
    uniqueKeys: true,
    strict: true,
    prettyErrors: false,
  });
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault) {
    const { line } = lines.linePos(fault.pos[0]);
    // The parser reports its own exhausted stack as a fault of the file, which it is.
    const what = /call stack/i.test(fault.message) ? 'nested too deeply' : fault.message;
    throw configInvalid(`${file} line ${line}: ${lowerFirst(what)}`, { file, line }, fault);
  }
  return document;
}

function readDocument(context: Context): SourceResult {
  const layer = new Map<string, Sourced>();
  let preset: Sourced | undefined;
  const sections = [...new Set(CONFIG_OPTIONS.map(({ section }) => section))];
  for (const [section, node, line] of entriesOf(context, context.document.contents, 'the file')) {
    if (section === PRESET_KEY) {
      preset = { value: toValue(context, node, line), origin: place(context, line) };
      continue;
    }
    if (!sections.includes(section)) {
      throw unknownName('section', section, [...sections, PRESET_KEY], where(context, line));
    }
    readSection(context, section, node, layer);
  }
  return { layer, preset };
}

function readSection(
  context: Context,
  section: string,
  content: Node | null,
  layer: Map<string, Sourced>,
): void {
  for (const [name, node, line] of entriesOf(context, content, `section ${section}`)) {
    const key = `${section}.${name}`;
    const option = OPTION_BY_KEY.get(key);
    if (!option) {
      const known = CONFIG_OPTIONS.filter((other) => other.section === section);
      const keys = known.map((other) => other.key);
      throw unknownName('key', key, keys, where(context, line));
    }
    if (!option.sources.includes('file')) {
      const message = `${key} must not stand in a file: set ${option.envName} or ${key}File`;
      throw configInvalid(`${message}${where(context, line)}`, { key, line });
    }
    layer.set(key, { value: toValue(context, node, line), origin: place(context, line) });
  }
}

/** Keys and values of a map; nothing for an empty node. */
function entriesOf(
  context: Context,
  content: Node | null,
  what: string,
): [key: string, value: Node | null, line: number][] {
  const node = isAlias(content) ? content.resolve(context.document) : content;
  if (node === null || node === undefined || (isScalar(node) && node.value === null)) return [];
  if (!isMap(node)) {
    const line = lineOf(context, node);
    throw configInvalid(`expected keys and values in ${what}${where(context, line)}`, { line });
  }
  return node.items.map((pair) => {
    const line = lineOf(context, pair.key as Node);
    if (!isScalar(pair.key) || typeof pair.key.value !== 'string') {
      throw configInvalid(`expected a name as key${where(context, line)}`, { line });
    }
    return [pair.key.value, pair.value as Node | null, line];
  });
}

function toValue(context: Context, node: Node | null, line: number): unknown {
  try {
    return node === null ? null : node.toJS(context.document, { maxAliasCount: ALIAS_MAX_COUNT });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw configInvalid(`${message}${where(context, line)}`, { line }, error);
  }
}

/** Very deep nesting exhausts the parser's stack: that is the file's fault, not ours. */
function guarded<T>(file: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw configInvalid(`${file} is nested too deeply`, { file }, error);
  }
}

function lineOf(context: Context, node: Node | null): number {
  return context.lines.linePos(node?.range?.[0] ?? 0).line;
}

function place(context: Context, line: number): string {
  return `${context.file} line ${line}`;
}

function where(context: Context, line: number): string {
  return ` (${place(context, line)})`;
}
