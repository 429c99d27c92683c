/**
 * Who asks: somebody who signed with one of the cluster's own key pairs, by header or in a
 * presigned URL, or nobody in particular, where that is allowed.
 */
import type { ChunkSigning } from './chunk-signatures.ts';
import type { HeaderMap } from './message.ts';
import { S3Error } from './s3-error.ts';
import { SignatureVerifier, type SignedParts } from './sigv4.ts';
import type { Target } from './target.ts';

export type Caller =
  /** May write only where nobody could prove anything: no key pairs are set. */
  | { readonly kind: 'anonymous'; readonly mayWrite: boolean }
  | { readonly kind: 'signed'; readonly accessKeyId: string; readonly chunks: ChunkSigning };

export interface AuthenticatorOptions {
  /** Secrets by access key id. */
  readonly accessKeys: ReadonlyMap<string, string>;
  readonly allowsAnonymous: boolean;
  /** The only region that may stand in a signature; absent: any. */
  readonly region?: string;
  readonly wallMs: () => number;
}

export interface AuthenticatedRequest {
  readonly method: string;
  readonly target: Target;
  readonly headers: HeaderMap;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';

export class Authenticator {
  readonly #allowsAnonymous: boolean;
  readonly #hasKeys: boolean;
  readonly #verifier: SignatureVerifier;

  constructor({ allowsAnonymous, ...verifier }: AuthenticatorOptions) {
    this.#allowsAnonymous = allowsAnonymous;
    this.#hasKeys = verifier.accessKeys.size > 0;
    this.#verifier = new SignatureVerifier(verifier);
  }

  /** @throws S3Error */
  authenticate(request: AuthenticatedRequest): Caller {
    const parts = signedPartsOf(request);
    if (parts) return { kind: 'signed', ...this.#verifier.verify(request, parts) };
    if (this.#allowsAnonymous) return { kind: 'anonymous', mayWrite: !this.#hasKeys };
    throw new S3Error('AccessDenied');
  }
}

/** Undefined: nothing of the request claims to be a signature. @throws S3Error */
function signedPartsOf({ target, headers }: AuthenticatedRequest): SignedParts | undefined {
  const header = headers.find('authorization');
  if (header === undefined && target.query.length === 0) return undefined;
  const names = new Set(target.query.map(([name]) => name));
  const isPresigned = names.has('X-Amz-Algorithm') || names.has('X-Amz-Signature');
  if (header !== undefined && isPresigned) {
    const message =
      'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified';
    throw new S3Error('InvalidArgument', message);
  }
  if (header !== undefined) return fromHeader(header, headers);
  if (isPresigned) return fromQuery(target);
  if (names.has('AWSAccessKeyId') || names.has('Signature')) throw unsupported();
  return undefined;
}

function fromHeader(header: string, headers: HeaderMap): SignedParts {
  const space = header.indexOf(' ');
  if (header.slice(0, space) !== ALGORITHM) throw unsupported();
  const fields = new Map<string, string>();
  for (const part of header.slice(space + 1).split(',')) {
    const equals = part.indexOf('=');
    fields.set(part.slice(0, equals).trim(), part.slice(equals + 1).trim());
  }
  const [credential, signedHeaders, signature] = ['Credential', 'SignedHeaders', 'Signature'].map(
    (name) => fields.get(name),
  );
  if (!credential || !signedHeaders || !signature || fields.size !== 3) {
    throw new S3Error(
      'AuthorizationHeaderMalformed',
      'The authorization header is malformed; it needs Credential, SignedHeaders and Signature.',
    );
  }
  const date = headers.find('x-amz-date') ?? headers.find('date');
  return { form: 'header', credential, signedHeaders, signature, date };
}

function fromQuery({ query }: Target): SignedParts {
  const once = (name: string): string => {
    const values = query.filter(([known]) => known === name);
    const [first] = values;
    if (values.length !== 1 || !first) {
      const message = `Query-string authentication version 4 requires ${name} exactly once.`;
      throw new S3Error('AuthorizationQueryParametersError', message);
    }
    return first[1];
  };
  if (once('X-Amz-Algorithm') !== ALGORITHM) throw unsupported();
  return {
    form: 'query',
    credential: once('X-Amz-Credential'),
    signedHeaders: once('X-Amz-SignedHeaders'),
    signature: once('X-Amz-Signature'),
    date: once('X-Amz-Date'),
    expires: once('X-Amz-Expires'),
  };
}

/** Signature Version 2, 4A, Basic, Bearer and whatever else. */
function unsupported(): S3Error {
  return new S3Error(
    'InvalidRequest',
    `The authorization mechanism you have provided is not supported. Please use ${ALGORITHM}.`,
  );
}
