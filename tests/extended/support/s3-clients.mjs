/**
 * Clients of S3 from npm: one of them lists, looks at and reads objects, and tells what it found.
 * Usage: s3-clients.mjs CLIENT MODULE ENDPOINT BUCKET PLAN, the plan and the answer being JSON.
 */
import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { crc32 } from 'node:zlib';

const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env;

function awsSdk({ S3, paginateListObjectsV2 }, endpoint, bucket) {
  const s3 = new S3({ endpoint, forcePathStyle: true, region: 'us-east-1' });
  const body = async (key, range) =>
    (await s3.getObject({ Bucket: bucket, Key: key, Range: range })).Body;
  return {
    async list(prefix) {
      const keys = [];
      const asked = { Bucket: bucket, Prefix: prefix };
      for await (const { Contents = [] } of paginateListObjectsV2({ client: s3 }, asked))
        keys.push(...Contents.map(({ Key }) => Key));
      return keys;
    },
    size: async (key) => (await s3.headObject({ Bucket: bucket, Key: key })).ContentLength,
    whole: async (key) => buffer(await body(key)),
    range: async (key, start, end) => buffer(await body(key, `bytes=${start}-${end - 1}`)),
    stream: (key) => body(key),
  };
}

function minio({ Client }, endpoint, bucket) {
  const { hostname, port } = new URL(endpoint);
  const client = new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL: false,
    pathStyle: true,
    region: 'us-east-1',
    accessKey: accessKeyId,
    secretKey: secretAccessKey,
  });
  return {
    async list(prefix) {
      const keys = [];
      for await (const { name } of client.listObjectsV2(bucket, prefix, true)) keys.push(name);
      return keys;
    },
    size: async (key) => (await client.statObject(bucket, key)).size,
    whole: async (key) => buffer(await client.getObject(bucket, key)),
    range: async (key, start, end) =>
      buffer(await client.getPartialObject(bucket, key, start, end - start)),
    stream: (key) => client.getObject(bucket, key),
  };
}

const sha256 = (data) => createHash('sha256').update(data).digest('hex');

async function read(client, key) {
  const size = await client.size(key);
  return {
    size,
    ...(size < 2 ** 30 && { whole: sha256(await client.whole(key)) }),
    ...(size > 2000 && { range: sha256(await client.range(key, size - 1000, size)) }),
  };
}

/** One object by many ranges at once. */
async function parallel(client, key) {
  const size = await client.size(key);
  const step = Math.ceil(size / 16);
  const starts = Array.from({ length: Math.ceil(size / step) }, (_, index) => index * step);
  const pieces = await Promise.all(
    starts.map((start) => client.range(key, start, Math.min(size, start + step))),
  );
  return [sha256(Buffer.concat(pieces))];
}

async function streamed(client, key) {
  let crc = 0;
  let size = 0;
  for await (const piece of await client.stream(key)) {
    crc = crc32(piece, crc);
    size += piece.length;
  }
  return { size, crc32: crc };
}

const [, , name, module, endpoint, bucket, planText] = process.argv;
const plan = JSON.parse(planText);
const client = { awsSdk, minio }[name](await import(module), endpoint, bucket);
const attempts = plan.keys.map((key) =>
  read(client, key).catch((error) => ({ error: String(error).slice(0, 300) })),
);
const objects = await Promise.all(attempts);
const answer = {
  listed: (await client.list(plan.prefix)).sort(),
  objects: Object.fromEntries(plan.keys.map((key, index) => [key, objects[index]])),
  ...(plan.parallel && { parallel: await parallel(client, plan.parallel) }),
  ...(plan.stream && { streamed: await streamed(client, plan.stream) }),
};
console.log(JSON.stringify(answer));
