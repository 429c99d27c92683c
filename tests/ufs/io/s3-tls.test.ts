/** Under stores behind TLS: only a certificate that is valid, trusted and for that host is read from. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { createServer, type TlsOptions } from 'node:tls';

import test, { type ExecutionContext } from 'ava';

import { CertificateAuthority } from '../../support/certificates.ts';
import { Child, cleanEnvironment } from '../../support/child.ts';
import { FaultyOrigin } from '../../support/faulty-origin.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const KEY = 'object';
const DAY_MS = 86_400_000;

/** TLS in front of the origin; gives the port. */
async function terminate(
  t: ExecutionContext,
  origin: FaultyOrigin,
  options: TlsOptions,
): Promise<number> {
  const { hostname, port } = new URL(origin.endpoint);
  const server = createServer(options, (client) => {
    const upstream = connect(Number(port), hostname);
    client.on('error', () => upstream.destroy()).pipe(upstream);
    upstream.on('error', () => client.destroy()).pipe(client);
  });
  server.on('tlsClientError', () => undefined).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

test('s3 tls: a valid certificate is accepted; expired, early, foreign and unknown ones are not', async (t) => {
  await using origin = await FaultyOrigin.start();
  await using folder = await tempFolder('tls');
  origin.objects.put(KEY, 10_000);
  const authority = new CertificateAuthority();
  const authorityPath = join(folder.path, 'authority.pem');
  await writeFile(authorityPath, authority.cert);

  const names = ['localhost', '127.0.0.1'];
  const now = Date.now();
  const cases = [
    [authority.issue({ names }), undefined],
    [authority.issue({ names, notAfter: new Date(now - 1_000) }), /CERT_HAS_EXPIRED/],
    [authority.issue({ names, notBefore: new Date(now + DAY_MS / 2) }), /CERT_NOT_YET_VALID/],
    [authority.issue({ names: ['elsewhere.example'] }), /ERR_TLS_CERT_ALTNAME_INVALID/],
    [new CertificateAuthority().issue({ names }), /CERT_SIGNATURE_FAILURE/],
    [
      { ...authority.issue({ names }), maxVersion: 'TLSv1.1', minVersion: 'TLSv1' },
      /SSL|TLS|EPROTO/,
    ],
  ] as const;
  const endpoints: string[] = [];
  for (const [options] of cases) {
    endpoints.push(`https://localhost:${await terminate(t, origin, options)}`);
  }
  const child = await Child.start({
    command: process.execPath,
    args: [
      join(process.cwd(), 'build/tests/ufs/io/tls-reader.js'),
      ...[FaultyOrigin.BUCKET, KEY, ...endpoints],
    ],
    env: cleanEnvironment({ NODE_EXTRA_CA_CERTS: authorityPath, NODE_NO_WARNINGS: '1' }),
  });
  t.teardown(() => child.stop());
  await child.exited;
  const outcomes = JSON.parse(child.logs()) as {
    bytes?: string;
    code?: string;
    message?: string;
  }[];
  t.is(outcomes.length, cases.length);
  for (const [index, [, fault]] of cases.entries()) {
    const { bytes, code, message } = outcomes[index] ?? {};
    if (fault === undefined) {
      t.is(bytes, origin.expectedBytes(KEY).toString('base64'), message);
    } else {
      t.is(code, 'ufs_unavailable', message);
      t.regex(message ?? '', fault);
    }
  }
  // One HEAD and one GET, both by the valid one: nothing was asked of the others.
  t.is(origin.requests.length, 2);
});
