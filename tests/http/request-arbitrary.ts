/**
 * Requests as the OpenAPI document describes them, and as nobody should send them: parameters left
 * out, doubled and filled with odd text, bodies of every shape. And what no answer may look like.
 */
import { type Agent, request as httpRequest } from 'node:http';
import fc from 'fast-check';
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../support/odd-keys.ts';

export interface FuzzRequest {
  readonly method: string;
  /** Path and query, encoded. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

export interface FuzzAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

interface Parameter {
  readonly in: string;
  readonly name: string;
}
interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: unknown;
}
export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** Of others, and so not in the document; their errors have forms of their own. */
const DIALECTS: OpenApi['paths'] = Object.fromEntries(
  ['/v1/load', '/api/v1/master/submit_job/load', '/api/v1/master/progress_job/load'].map((path) => {
    const names = [
      'path',
      'opType',
      'replicas',
      'verbose',
      'bandwidth',
      'progressFormat',
      'verify',
    ];
    const operation = {
      parameters: names.map((name) => ({ in: 'query', name })),
      requestBody: true,
    };
    return [path, { get: operation, post: operation }];
  }),
);

const word = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('s3://b/p', 's3://origin/p', 'file:///x', '/p', '') },
  fc.constantFrom('submit', 'progress', 'stop', 'true', 'false', 'RUNNING', 'read', 'TEXT', 'JSON'),
  fc.constantFrom('0', '1', '-1', '1.5', '1e9', '9'.repeat(400), '0x10', '100MiB', '+1'),
  fc.constantFrom('(a+)+$', '(', '(?<=a)b', 'x{1001}', 'a'.repeat(10_001), '\\', '[[:alpha:]]'),
  fc.constantFrom('\0', '\ud800', '\u202e', '../../etc/passwd', '<script>', "' OR 1=1", '%00'),
  fc.constantFrom(...ODD_KEYS, ...S3_ONLY_ODD_KEYS).map((key) => `s3://b/${key}`),
  fc.uuid(),
  fc.string({ unit: 'binary', maxLength: 40 }),
);

const FIELDS = [
  ...['path', 'replicas', 'fileFilterRegx', 'verify', 'bandwidth', 'segmentSize', 'to', 'index'],
  ...['partialListing', 'metadataOnly', 'reload', 'skipIfExists', 'batchSize', '__proto__', 'x'],
];
const member = fc.oneof(
  word,
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
  fc.jsonValue({ maxDepth: 3 }),
);
const body = fc.oneof(
  { weight: 4, arbitrary: bodyOf(fc.constant({ path: 's3://b/p' })) },
  bodyOf(fc.constant({})),
  fc.json({ maxDepth: 4 }),
  fc.nat(30_000).map((depth) => '['.repeat(depth)),
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.constantFrom('', '{', 'null', '"text"', '{"path":1e400}', '{"path":"s3://b/\\ud800"}'),
);

function bodyOf(base: fc.Arbitrary<object>): fc.Arbitrary<string> {
  const fields = fc.array(fc.tuple(fc.constantFrom(...FIELDS), member), { maxLength: 3 });
  // Object.fromEntries defines what an assignment to __proto__ would not.
  return fc
    .tuple(base, fields)
    .map(([one, more]) => JSON.stringify({ ...one, ...Object.fromEntries(more) }));
}

const encoded = word.map((text) => {
  try {
    return encodeURIComponent(text);
  } catch {
    return '%ED%A0%80';
  }
});

/** Null, but for one in ten. */
function rarely<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, arbitrary);
}

const RANGES = [
  'bytes=0-',
  'bytes=-5',
  'bytes=5-2',
  'bytes=0-0,2-3',
  'bytes=9999999999999999-',
  'x',
];

/** @param isHarmless false leaves an operation out. */
export function requestsOf(
  document: OpenApi,
  isHarmless: (method: string, path: string) => boolean = () => true,
): fc.Arbitrary<FuzzRequest> {
  const operations = Object.entries({ ...document.paths, ...DIALECTS }).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method]) => isHarmless(method, path))
      .map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  return fc.constantFrom(...operations).chain(({ path, method, operation }) => {
    const query = (operation.parameters ?? []).filter((parameter) => parameter.in === 'query');
    const pairs = query.map(({ name }) =>
      fc
        .array(encoded, { maxLength: 2, size: 'max' })
        .map((values) => values.map((value) => `${name}=${value}`)),
    );
    const stray = rarely(fc.tuple(encoded, encoded).map((pair) => pair.join('=')));
    const type = fc.oneof(
      { weight: 6, arbitrary: fc.constant('application/json') },
      fc.constantFrom('text/plain', 'application/json; charset=utf-16', 'multipart/form-data'),
    );
    return fc
      .record({
        path: fc.tuple(
          ...path
            .split(/(\{\w+\})/)
            .map((part) => (part.startsWith('{') ? encoded : fc.constant(part))),
        ),
        pairs: fc.tuple(...pairs),
        stray,
        type,
        range: rarely(fc.constantFrom(...RANGES)),
        body: fc.option(body, { freq: operation.requestBody === undefined ? 1 : 20 }),
        other: rarely(fc.constantFrom('PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD')),
      })
      .map((drawn): FuzzRequest => {
        const text = [...drawn.pairs.flat(), ...(drawn.stray === null ? [] : [drawn.stray])].join(
          '&',
        );
        const used =
          drawn.other !== null && isHarmless(drawn.other.toLowerCase(), path)
            ? drawn.other
            : method;
        return {
          method: used,
          target: drawn.path.join('') + (text === '' ? '' : `?${text}`),
          headers: {
            'content-type': drawn.type,
            ...(drawn.range !== null && { range: drawn.range }),
          },
          body: drawn.body ?? undefined,
        };
      });
  });
}

/** The request as it is: no client library puts it in order first. */
export function send(url: string, fuzz: FuzzRequest, agent: Agent): Promise<FuzzAnswer> {
  const { hostname, port } = new URL(url);
  const { method, target: path, headers, body: text = '' } = fuzz;
  return new Promise((resolve, reject) => {
    const options = {
      hostname,
      port,
      method,
      path,
      headers: { ...headers, 'content-length': String(Buffer.byteLength(text)) },
      agent,
    };
    const request = httpRequest(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers['content-type'] ?? '',
          body: Buffer.concat(chunks).toString('utf8'),
        });
      });
    });
    request.on('error', reject).end(text);
  });
}

/** What is wrong with an answer; undefined when nothing is. */
export function faultOf({ method, target }: FuzzRequest, answer: FuzzAnswer): string | undefined {
  const { status, type, body: text } = answer;
  // Not ready, or no leader at the moment, is an answer; a fault of ours is none.
  if (status < 200 || (status >= 500 && status !== 503)) return `status ${status}`;
  const leak =
    /\bundefined\b|\bNaN\b|\[object \w+\]|\n\s+at .+:\d+|\bnode:internal\b|\.ts:\d+/.exec(text);
  if (leak !== null && !/openapi|metrics/.test(target)) return `the body tells ${leak[0]}`;
  const isDialect = /^\/(v1\/load|api\/)/.test(target);
  if (status < 400 || method === 'HEAD' || isDialect || status === 503) return undefined;
  if (type !== 'application/problem+json') return `a refusal of type ${type}`;
  const problem = JSON.parse(text) as Record<string, unknown>;
  const isWhole =
    problem['status'] === status &&
    ['code', 'detail', 'title', 'requestId'].every((name) => typeof problem[name] === 'string');
  return isWhole ? undefined : `a problem that lacks members: ${text}`;
}
