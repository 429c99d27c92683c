/**
 * Glob patterns as RE2 ones, so that they are matched in linear time.
 *
 * `*` is any part of a name, `**` of a path, `?` one character of a name, `[a-z]` and `[!a-z]` one
 * of a set, `{a,b}` one of several, `\` takes the next character as it is. A pattern is matched
 * with whole names from the end of a path (`*.tmp`, `logs/*.gz`); one that begins with `/` with
 * all of the key; one that ends in `/` stands for everything below.
 */
import { RingloadError } from '../base/errors.ts';

/** The source of a pattern that is matched with all of a path. @throws invalid_argument */
export function globSource(pattern: string): string {
  const isAnchored = pattern.startsWith('/');
  const whole = pattern.endsWith('/') ? `${pattern}**` : pattern;
  const body = new Translation(isAnchored ? whole.slice(1) : whole).source();
  const scheme = '[a-z][a-z0-9+.-]*://[^/]*/';
  return isAnchored ? `${scheme}${body}` : `${scheme}(?:.*/)?${body}`;
}

class Translation {
  readonly #pattern: string;
  #at = 0;
  /** Braces that are open. */
  #depth = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  source(): string {
    let source = '';
    while (this.#at < this.#pattern.length) source += this.#next();
    if (this.#depth > 0) throw this.#refused('has a { without its }');
    return source;
  }

  #next(): string {
    const char = this.#take();
    switch (char) {
      case '*':
        return this.#stars();
      case '?':
        return '[^/]';
      case '[':
        return this.#set();
      case '{':
        this.#depth += 1;
        return '(?:';
      case '}':
        if (this.#depth === 0) return '\\}';
        this.#depth -= 1;
        return ')';
      case ',':
        return this.#depth > 0 ? '|' : ',';
      case '\\':
        if (this.#at >= this.#pattern.length) throw this.#refused('ends in a \\');
        return literal(this.#take());
      default:
        return literal(char);
    }
  }

  #stars(): string {
    if (this.#pattern.charAt(this.#at) !== '*') return '[^/]*';
    while (this.#pattern.charAt(this.#at) === '*') this.#at += 1;
    const before = this.#pattern.slice(0, this.#at).replace(/\*+$/, '');
    // `**/` is also no directory at all.
    if (this.#pattern.charAt(this.#at) !== '/' || (before !== '' && !before.endsWith('/'))) {
      return '.*';
    }
    this.#at += 1;
    return '(?:.*/)?';
  }

  #set(): string {
    const isNot = '!^'.includes(this.#pattern.charAt(this.#at)) && this.#at < this.#pattern.length;
    if (isNot) this.#at += 1;
    let members = '';
    while (this.#at < this.#pattern.length) {
      const char = this.#take();
      if (char === ']' && members !== '') return isNot ? `[^/${members}]` : `[${members}]`;
      if (char === '-') members += '-';
      else members += `\\x{${(char.codePointAt(0) ?? 0).toString(16)}}`;
    }
    throw this.#refused('has a [ without its ]');
  }

  #take(): string {
    const char = String.fromCodePoint(this.#pattern.codePointAt(this.#at) ?? 0);
    this.#at += char.length;
    return char;
  }

  #refused(rule: string): RingloadError {
    return new RingloadError('invalid_argument', `glob '${this.#pattern}' ${rule}`);
  }
}

function literal(char: string): string {
  return /[A-Za-z0-9_]/.test(char) ? char : `\\x{${(char.codePointAt(0) ?? 0).toString(16)}}`;
}
