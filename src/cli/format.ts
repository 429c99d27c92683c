/**
 * Values as people read them. Every function gives a text for every input, also for the odd ones
 * (no time yet, nothing to divide by): a report never shows `undefined`, `NaN` or `Infinity`.
 */

const IEC_UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const;

/** `0 B`, `1023 B`, `1.5 KiB`, `117 GiB`: three significant digits, powers of 1024. */
export function formatSize(bytes: number): string {
  if (!Number.isFinite(bytes)) return '-';
  if (Math.abs(bytes) < 1024) return `${Math.round(bytes)} B`;
  let value = bytes;
  let unit = '';
  for (unit of IEC_UNITS) {
    value /= 1024;
    // Why: 1023.96 would print as `1024`, one unit too low.
    if (Math.abs(value) < 1023.5) break;
  }
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${unit}`;
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatSize(bytesPerSecond)}/s`;
}

/** `12,345` */
export function formatCount(count: number): string {
  if (!Number.isFinite(count)) return '-';
  return String(Math.trunc(count)).replace(/\B(?=(\d{3})+$)/g, ',');
}

export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  return `${formatCount(count)} ${count === 1 ? noun : nouns}`;
}

/** `950ms`, `42s`, `3m07s`, `2h05m`, `3d04h`; `-` for what is not a time. */
export function formatDuration(durationMs: number): string {
  if (!Number.isFinite(durationMs) || durationMs < 0) return '-';
  if (durationMs < 1000) return `${Math.round(durationMs)}ms`;
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 60) return `${seconds}s`;
  const pad = (value: number): string => String(value).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${pad(seconds % 60)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h${pad(minutes % 60)}m`;
  return `${Math.floor(minutes / 1440)}d${pad(Math.floor(minutes / 60) % 24)}h`;
}

/** RFC 3339, UTC; `-` for 0 and for what no calendar holds. */
export function formatTime(wallMs: number): string {
  if (!Number.isFinite(wallMs) || wallMs <= 0 || wallMs > 8.64e15) return '-';
  return new Date(wallMs).toISOString();
}

export function formatPercent(part: number, whole: number): string {
  if (!(whole > 0) || !Number.isFinite(part)) return '-';
  return `${Math.floor((100 * part) / whole)}%`;
}

/**
 * Text of others (keys, messages) made harmless for a screen: control characters, which could
 * move the cursor or forge a line, are shown as `\xNN`. The exact text is in the JSON output.
 */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => {
      const code = character.charCodeAt(0);
      return code < 256
        ? `\\x${code.toString(16).padStart(2, '0')}`
        : `\\u${code.toString(16).padStart(4, '0')}`;
    },
  );
}

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Lines of a table, two blanks between columns, no blanks at the end of a line. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string[] {
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...rows.map((row) => (row[index] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    columns
      .map((column, index) => {
        const cell = cells[index] ?? '';
        const width = widths[index] ?? 0;
        return column.align === 'right' ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [line(columns.map((column) => column.title)), ...rows.map(line)];
}

/** `label   value` lines with the values in one column. */
export function fieldLines(fields: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...fields.map(([label]) => label.length));
  return fields.map(([label, value]) => `${label.padEnd(width)}  ${value}`.trimEnd());
}
