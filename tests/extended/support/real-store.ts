/**
 * S3 servers that none of us wrote, and a client to fill them with: what the extended suites load
 * from. Objects have the bytes of a virtual object of the same key, so nothing has to be kept to
 * compare with.
 */
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { bytesOf, type VirtualObject } from '../../../src/sample/object-set.ts';

export interface RealStore extends AsyncDisposable {
  readonly name: string;
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  stop(): Promise<void>;
}

const PART_BYTES = 32 * 1024 * 1024;
const PUTS_IN_FLIGHT = 16;

/** Writes into one bucket. */
export class Uploader implements Disposable {
  readonly client: S3Client;
  readonly bucket: string;

  constructor({ endpoint, accessKeyId, secretAccessKey }: RealStore, bucket: string) {
    this.bucket = bucket;
    this.client = new S3Client({
      endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      credentials: { accessKeyId, secretAccessKey },
    });
  }

  async createBucket(): Promise<void> {
    await this.client.send(new CreateBucketCommand({ Bucket: this.bucket }));
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    await this.client.send(
      new PutObjectCommand({
        Bucket: this.bucket,
        Key: key,
        Body: body,
        ContentLength: body.length,
      }),
    );
  }

  async delete(key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: key }));
  }

  /** Large objects go up in parts, as clients send them. */
  async putVirtual(object: VirtualObject): Promise<void> {
    if (object.sizeBytes <= PART_BYTES) return this.put(object.key, bytesOf(object));
    const target = { Bucket: this.bucket, Key: object.key };
    const { UploadId } = await this.client.send(new CreateMultipartUploadCommand(target));
    const Parts: { ETag: string | undefined; PartNumber: number }[] = [];
    for (let offset = 0; offset < object.sizeBytes; offset += PART_BYTES) {
      const length = Math.min(PART_BYTES, object.sizeBytes - offset);
      const PartNumber = Parts.length + 1;
      const Body = bytesOf(object, offset, length);
      const part = { ...target, UploadId, PartNumber, Body, ContentLength: length };
      const { ETag } = await this.client.send(new UploadPartCommand(part));
      Parts.push({ ETag, PartNumber });
    }
    const MultipartUpload = { Parts };
    await this.client.send(
      new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload }),
    );
  }

  async putAll(objects: Iterable<VirtualObject>): Promise<void> {
    const queue = [...objects];
    const worker = async (): Promise<void> => {
      for (let next = queue.shift(); next; next = queue.shift()) await this.putVirtual(next);
    };
    await Promise.all(Array.from({ length: PUTS_IN_FLIGHT }, worker));
  }

  [Symbol.dispose](): void {
    this.client.destroy();
  }
}
