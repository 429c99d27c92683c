/** What hands out temporary credentials in clouds: the endpoint of containers, and that of machines. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const ROLE = 'ringload-role';
const METADATA_TOKEN = 'metadata-token';

/** Serves both protocols; `rotate` makes other credentials the valid ones. */
export class CredentialEndpoint implements AsyncDisposable {
  /** How long the credentials that are handed out next are said to last. */
  lifetimeMs = 3_600_000;
  /** `dead`: 500; `mute`: no answer. */
  mood: 'well' | 'dead' | 'mute' = 'well';
  #generation = 1;
  #handedOutCount = 0;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<CredentialEndpoint> {
    const server = createServer();
    const endpoint = new CredentialEndpoint(server);
    server.on('request', (request, response) => {
      request.resume();
      if (endpoint.mood === 'mute') return;
      const answer = endpoint.#answer(request.method ?? '', request.url ?? '');
      const isKnown = answer !== undefined && endpoint.mood !== 'dead';
      response.writeHead(isKnown ? 200 : 500).end(isKnown ? answer : '');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return endpoint;
  }

  /** The access key id that is valid now. */
  get keyId(): string {
    return `ASIAROTATED${this.#generation}`;
  }

  get secret(): string {
    return `canarysecretcanarysecret${this.#generation}`;
  }

  get handedOutCount(): number {
    return this.#handedOutCount;
  }

  /** For the process that asks, instead of every other source of credentials. */
  environment(kind: 'container' | 'machine'): Record<string, string> {
    const url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return kind === 'container'
      ? { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/credentials` }
      : { AWS_EC2_METADATA_SERVICE_ENDPOINT: url, AWS_EC2_METADATA_DISABLED: 'false' };
  }

  rotate(): void {
    this.#generation++;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #answer(method: string, url: string): string | undefined {
    if (method === 'PUT' && url === '/latest/api/token') return METADATA_TOKEN;
    const folder = '/latest/meta-data/iam/security-credentials/';
    if (url === folder) return ROLE;
    if (url !== '/credentials' && url !== `${folder}${ROLE}`) return undefined;
    this.#handedOutCount++;
    return JSON.stringify({
      Code: 'Success',
      Type: 'AWS-HMAC',
      LastUpdated: new Date().toISOString(),
      Expiration: new Date(Date.now() + this.lifetimeMs).toISOString(),
      AccessKeyId: this.keyId,
      SecretAccessKey: this.secret,
      Token: `token-${this.keyId}`,
    });
  }
}
