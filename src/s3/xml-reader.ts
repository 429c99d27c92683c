/**
 * The XML that clients send, as a tree of elements: no document types, no entities but the five
 * that XML has, no processing instructions, and bounds on depth and number, so that a document
 * costs no more than its bytes.
 */
import { S3Error } from './s3-error.ts';

export interface XmlElement {
  /** Without its namespace prefix. */
  readonly name: string;
  /** Of an element without others in it. */
  readonly text: string;
  readonly children: readonly XmlElement[];
}

interface OpenElement {
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

const DEPTH_MAX = 8;
/** A tag with its attributes, which nobody looks at, or text. */
const TOKEN =
  /<(\/?)([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/y;
const DECLARATION = /^(?:\uFEFF)?<\?xml\s[^?<>]*\?>/;
const REFERENCE = /&(?:(lt|gt|amp|quot|apos)|#(\d{1,7})|#x([0-9A-Fa-f]{1,6}));|&/g;
const NAMED: Readonly<Record<string, string>> = {
  ...{ lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" },
};

/** The outermost element. @throws S3Error MalformedXML */
export function readXml(document: Uint8Array, elementMaxCount: number): XmlElement {
  const text = decodeUtf8(document).replace(DECLARATION, '').trim();
  const open: OpenElement[] = [];
  let root: XmlElement | undefined;
  let count = 0;
  let at = 0;
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text);
    if (!token || root) throw malformed();
    at = TOKEN.lastIndex;
    const [, slash, tag, , selfClosing, content] = token;
    const within = open.at(-1);
    if (content !== undefined) {
      if (!within) throw malformed();
      within.text += unescape(content);
      continue;
    }
    const name = localName(tag ?? '');
    if (slash === '/') {
      if (within?.name !== name || selfClosing === '/') throw malformed();
      open.pop();
      root = place(within, open.at(-1));
      continue;
    }
    if (++count > elementMaxCount || open.length >= DEPTH_MAX) throw malformed();
    const element = { name, text: '', children: [] };
    if (selfClosing === '/') root = place(element, within);
    else open.push(element);
  }
  if (!root) throw malformed();
  return root;
}

/** The text of the first child of that name. */
export function childText({ children }: XmlElement, name: string): string | undefined {
  return children.find((child) => child.name === name)?.text;
}

/** Puts an element where it belongs; the outermost one is the result. */
function place(element: XmlElement, parent: OpenElement | undefined): XmlElement | undefined {
  if (!parent) return element;
  parent.children.push(element);
  return undefined;
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

function unescape(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(REFERENCE, (_all, named?: string, decimal?: string, hex?: string) => {
    if (named !== undefined) return NAMED[named] ?? '';
    const digits = decimal ?? hex;
    if (digits === undefined) throw malformed();
    const point = Number.parseInt(digits, decimal === undefined ? 16 : 10);
    const isCharacter = point > 0 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    if (!isCharacter) throw malformed();
    return String.fromCodePoint(point);
  });
}

function decodeUtf8(document: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(document);
  } catch (cause) {
    throw new S3Error('MalformedXML', undefined, { cause });
  }
}

function malformed(): S3Error {
  return new S3Error('MalformedXML');
}
