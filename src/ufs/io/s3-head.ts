/** HEAD of an object, and what it meant when it is refused. */
import type { Readable } from 'node:stream';
import {
  GetObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandInput,
  type HeadObjectCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';

/**
 * Answers to HEAD carry no error code: where the status alone is not clear, a GET tells it. If that
 * one is accepted, the refusal has been put right by its own answer (the SDK sets its clock by it).
 */
export async function headObject(
  client: S3Client,
  target: Pick<HeadObjectCommandInput, 'Bucket' | 'Key' | 'IfMatch'>,
  asked: Pick<HeadObjectCommandInput, 'ChecksumMode' | 'PartNumber'>,
  signal: AbortSignal,
): Promise<HeadObjectCommandOutput> {
  const head = (): Promise<HeadObjectCommandOutput> =>
    client.send(new HeadObjectCommand({ ...target, ...asked }), { abortSignal: signal });
  try {
    return await head();
  } catch (thrown) {
    const status = statusOf(thrown);
    if (status !== 301 && status !== 400 && status !== 403) throw thrown;
    try {
      const command = new GetObjectCommand({ ...target, Range: 'bytes=0-0' });
      const { Body: body } = await client.send(command, { abortSignal: signal });
      (body as Readable).destroy();
    } catch (explained) {
      throw statusOf(explained) === status ? explained : thrown;
    }
    return head();
  }
}

function statusOf(thrown: unknown): number | undefined {
  return (thrown as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}
