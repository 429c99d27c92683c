/**
 * Options of the process and of the cluster: addresses, trust, consensus, liveness, HTTP, log.
 * See `schema.ts` for the whole and for the conventions.
 */
import { z } from 'zod';
import { KIB, MIB } from '../base/units.ts';
import {
  bytes,
  choice,
  DAY_MS,
  durationMs,
  fraction,
  HOUR_MS,
  integer,
  list,
  MINUTE_MS,
  SECOND_MS,
  secretText,
  text,
  toggle,
} from './option.ts';

/** Shortest cluster secret: shorter ones can be guessed offline from one recorded handshake. */
const SECRET_MIN_LENGTH = 16;
const SECRET = z
  .string()
  .min(SECRET_MIN_LENGTH)
  .max(1024)
  .regex(/^[!-~]+$/, 'a secret is printable ASCII without blanks');
const SECRET_RANGE = `${SECRET_MIN_LENGTH} to 1024 printable ASCII characters`;

const HOST = z.string().regex(/^[A-Za-z0-9._:%-]*$/, 'expected a host name or an IP address');
const HOST_AND_PORT = z
  .string()
  .max(300)
  .regex(/^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]):\d{1,5}$/, 'expected host:port');

export const peer = z.strictObject({
  dataDir: text({
    description:
      'Directory of everything that this peer must not lose: identity, Raft log, catalogue. One process per directory.',
    flag: 'data-dir',
    default: './ringload-data',
    placeholder: 'path',
    schema: z.string().min(1),
  }),
  host: text({
    description:
      'Address to listen on. Any other than loopback needs a cluster secret, or `cluster.insecure`.',
    flag: 'host',
    default: '127.0.0.1',
    placeholder: 'host',
    schema: HOST.min(1),
  }),
  advertiseHost: text({
    description:
      'Address under which the other peers reach this one. Needed when `peer.host` is a wildcard such as 0.0.0.0.',
    flag: 'advertise-host',
    default: '',
    defaultText: 'the value of peer.host',
    placeholder: 'host',
    schema: HOST,
  }),
  restPort: integer({
    description: 'Port of the REST API and the links between peers; 0 takes a free one.',
    flag: 'rest-port',
    default: 19_999,
    min: 0,
    max: 65_535,
    placeholder: 'port',
  }),
  dataPort: integer({
    description:
      'Port on which other peers fetch segments; 0 takes a free one, which is advertised.',
    flag: 'data-port',
    default: 0,
    min: 0,
    max: 65_535,
    placeholder: 'port',
  }),
  join: list({
    description:
      'Members to join through, tried in order. Empty with a new data directory: this peer starts a new cluster.',
    flag: 'join',
    item: HOST_AND_PORT,
    maxCount: 100,
    placeholder: 'host:port',
    range: 'up to 100 host:port',
    defaultText: 'none',
    splitCommas: true,
    parseItem: (item) => item,
    formatItem: String,
  }),
  weight: fraction({
    description:
      'Share of the ring relative to the other peers; usually proportional to the capacity.',
    flag: 'weight',
    default: 1,
    min: 0.01,
    max: 100,
  }),
  zone: text({
    description: 'Failure domain or rack, told to the other peers.',
    flag: 'zone',
    default: '',
    defaultText: 'none',
    placeholder: 'name',
    schema: z.string().regex(/^[A-Za-z0-9._-]{0,63}$/, 'expected up to 63 of A-Z a-z 0-9 . _ -'),
    range: 'up to 63 of A-Z a-z 0-9 . _ -',
  }),
});

export const cluster = z.strictObject({
  secret: secretText({
    description: 'Secret that all peers share and prove to each other.',
    schema: SECRET,
    range: SECRET_RANGE,
  }),
  secretFile: text({
    description:
      'File with the shared secret, readable by its owner alone. Surrounding blanks are dropped.',
    default: '',
    defaultText: 'none',
    placeholder: 'path',
  }),
  previousSecret: secretText({
    description: 'Secret that is still accepted while the cluster changes to a new one.',
    schema: SECRET,
    range: SECRET_RANGE,
  }),
  previousSecretFile: text({
    description: 'File with the secret that is still accepted.',
    default: '',
    defaultText: 'none',
    placeholder: 'path',
  }),
  insecure: toggle({
    description:
      'Listen on other than loopback without a secret: anyone who reaches the port is admin.',
    flag: 'insecure',
    default: false,
  }),
});

export const raft = z.strictObject({
  tickMs: durationMs({
    description: 'Length of one Raft tick; the other Raft times are counted in ticks.',
    default: 100,
    min: 10,
    max: 10 * SECOND_MS,
  }),
  heartbeatTicks: integer({
    description: 'Ticks between heartbeats of the leader.',
    default: 3,
    min: 1,
    max: 100,
  }),
  electionTicks: integer({
    description:
      'Ticks without a heartbeat after which a voter campaigns; the actual number is drawn between this and its double.',
    default: 10,
    min: 2,
    max: 1_000,
  }),
  snapshotEveryEntries: integer({
    description: 'Entries applied between snapshots, after which the log is cut.',
    default: 10_000,
    min: 5,
    max: 1_000_000,
  }),
  maxVoters: integer({
    description: 'Most members with a vote; the others follow as learners. An odd number.',
    default: 5,
    min: 1,
    max: 9,
  }),
  replaceVoterAfterMs: durationMs({
    description: 'Time a voter may be gone before a learner takes its vote.',
    default: MINUTE_MS,
    min: SECOND_MS,
    max: DAY_MS,
  }),
});

export const liveness = z.strictObject({
  pingIntervalMs: durationMs({
    description: 'Time between pings on each link.',
    default: 500,
    min: 50,
    max: MINUTE_MS,
  }),
  linkTimeoutMs: durationMs({
    description: 'Silence after which a link is closed and opened anew.',
    default: 2_500,
    min: 100,
    max: 10 * MINUTE_MS,
  }),
  suspectAfterMs: durationMs({
    description: 'Silence after which a member is suspect: readers try other replicas first.',
    default: 3 * SECOND_MS,
    min: 100,
    max: 10 * MINUTE_MS,
  }),
  downAfterMs: durationMs({
    description: 'Silence after which a member is down: the ring changes and its data is copied.',
    default: 30 * SECOND_MS,
    min: SECOND_MS,
    max: DAY_MS,
  }),
});

export const http = z.strictObject({
  bodyMaxBytes: bytes({
    description: 'Largest request body.',
    default: MIB,
    min: KIB,
    max: 64 * MIB,
  }),
  queryMaxBytes: bytes({
    description: 'Longest query string.',
    default: 8 * KIB,
    min: 256,
    max: 16 * KIB,
  }),
  headersTimeoutMs: durationMs({
    description: 'Time for a client to send the headers of a request.',
    default: 10 * SECOND_MS,
    min: 100,
    max: 10 * MINUTE_MS,
  }),
  requestTimeoutMs: durationMs({
    description:
      'Time for a client to send a whole request; on the S3 port, for which a body may stand still.',
    default: 30 * SECOND_MS,
    min: 100,
    max: HOUR_MS,
  }),
});

const ACCESS_KEYS = z
  .string()
  .min(1)
  .max(64 * KIB);
const ACCESS_KEYS_RANGE = 'id:secret pairs, separated by blanks or commas';

export const s3 = z.strictObject({
  enabled: toggle({
    description: 'Serve files to S3 clients.',
    default: true,
  }),
  host: text({
    description:
      'Address of the S3 endpoint. Any other than loopback needs key pairs, or `cluster.insecure`; without them the endpoint of a `peer.host` that is not loopback stays closed.',
    default: '',
    defaultText: 'the value of peer.host',
    placeholder: 'host',
    schema: HOST,
  }),
  port: integer({
    description: 'Port of the S3 endpoint, path style; 0 takes a free one.',
    default: 29_998,
    min: 0,
    max: 65_535,
    placeholder: 'port',
  }),
  anonymous: choice({
    description:
      'Whether requests without a signature are answered: auto, while there are no key pairs and the endpoint is on loopback or `cluster.insecure` is set; allow; refuse.',
    values: ['auto', 'allow', 'refuse'],
    default: 'auto',
  }),
  region: text({
    description:
      'Region that clients are told and have to sign for. Without one they are told us-east-1, and may sign for any.',
    default: '',
    defaultText: 'any',
    placeholder: 'region',
    schema: z.string().regex(/^[a-z0-9-]{0,63}$/, 'expected a region such as us-east-1'),
  }),
  accessKeys: secretText({
    description: 'Key pairs of S3 clients, the same on every peer. None of an under store.',
    schema: ACCESS_KEYS,
    range: ACCESS_KEYS_RANGE,
  }),
  accessKeysFile: text({
    description:
      'File with the key pairs of S3 clients, readable by its owner alone: one `id:secret` a line, lines that begin with # are comments.',
    default: '',
    defaultText: 'none',
    placeholder: 'path',
  }),
});

export const worker = z.strictObject({
  enabled: toggle({
    description:
      "Listen on a second port, at `peer.host`, as Alluxio's workers do: for the packages alluxio and alluxiofs. They read through the S3 endpoint, which has to be on port 29998 and to answer requests without a signature.",
    default: false,
  }),
  port: integer({
    description: 'That port; 0 takes a free one.',
    default: 28_080,
    min: 0,
    max: 65_535,
    placeholder: 'port',
  }),
  missingStatus: choice({
    description:
      'How a file that does not exist is told at `/v1/info`: not-found (404), or internal (500), which alluxiofs up to 1.1.17 takes for it.',
    values: ['not-found', 'internal'],
    default: 'not-found',
  }),
  tellCredentials: toggle({
    description:
      'Tell clients the credentials of mounts, where a mount names files or variables for them, so that they can go to the under store by themselves.',
    default: false,
  }),
});

export const log = z.strictObject({
  level: choice({
    description: 'Least severe level that is logged.',
    values: ['debug', 'info', 'warn', 'error', 'silent'],
    default: 'info',
  }),
  format: choice({
    description: 'One JSON object per line, or plain text for people.',
    values: ['json', 'plain'],
    default: 'json',
  }),
});
