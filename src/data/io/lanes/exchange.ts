/**
 * One request and its answer, without the socket: says where the next bytes go and what they meant.
 *
 * The body goes straight to the target when the head promises exactly the bytes that are missing;
 * whether it is the right version and range is judged by who asked, before anything of it becomes
 * visible. Everything else ends the exchange.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { CombinableSum } from '../../../base/crc-combine.ts';
import type { AnswerHead } from '../../../ufs/under-store.ts';
import type { BandwidthBuckets, BucketShare } from '../../bandwidth-buckets.ts';
import type { DemandPause } from './demand-pause.ts';
import type { LaneNews, LaneOrder, LaneReport } from './lane-orders.ts';
import { headLength } from '../http-head.ts';
import { HEAD_MAX_BYTES, parseHead, type ParsedHead } from './response-head.ts';
import { TargetSink, type SinkParts } from './target-sink.ts';

type State = 'head' | 'body' | 'tail' | 'answer' | 'over';
type GoodHead = Extract<ParsedHead, { kind: 'head' }>;

const NO_BYTES = Buffer.alloc(0);

export interface ExchangeParts extends SinkParts {
  readonly bandwidth: BandwidthBuckets;
  readonly pause: Pick<DemandPause, 'isOn' | 'rest'>;
  readonly nowMs: () => number;
  readonly tell: (news: LaneNews) => void;
}

/** Bytes behind a range: a checksum needs few. */
const TAIL_MAX_BYTES = 64;

export class Exchange {
  readonly order: LaneOrder;
  /** Resolves with the one report; no write to the target is under way then. */
  readonly report: Promise<LaneReport>;
  readonly #parts: ExchangeParts;
  readonly #sink: TargetSink;
  readonly #scratch: Buffer;
  #resolve!: (report: LaneReport | Promise<LaneReport>) => void;
  #state: State = 'head';
  #scratchUsed = 0;
  #head: GoodHead | undefined;
  #mayReuse = false;
  #isMiddleTold = false;
  /** Bytes that follow the range. */
  #tailBytes = 0;
  #sentMs: number;
  #windowMs: number;
  #windowBytes = 0;
  #waitedMs = 0;
  #restCount = 0;
  #isPrefetch: boolean;

  /** @param scratch the lane's buffer for heads, at least `HEAD_MAX_BYTES` long. */
  constructor(order: LaneOrder, scratch: Buffer, parts: ExchangeParts) {
    this.order = order;
    this.#isPrefetch = order.isPrefetch;
    this.#scratch = scratch;
    this.#parts = parts;
    this.#sink = new TargetSink(order.target, order.start, parts);
    if (order.trail) this.#sink.follow(order.trail);
    this.#sink.isAhead = order.isPrefetch;
    this.#sentMs = parts.nowMs();
    this.#windowMs = this.#sentMs;
    this.report = new Promise((resolve) => (this.#resolve = resolve));
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  /** Whether the connection is at the end of this answer and may take another request. */
  get mayReuse(): boolean {
    return this.#mayReuse;
  }

  /** Whether not one byte of the answer came. */
  get isUntouched(): boolean {
    return this.#state === 'head' && this.#scratchUsed === 0;
  }

  /** Where the socket is to put what it reads next. */
  get room(): Buffer {
    return this.#state === 'body' ? this.#sink.room : this.#scratch.subarray(this.#scratchUsed);
  }

  /**
   * `byteCount` bytes were read into {@link room}. A promise: read nothing before it resolves.
   */
  received(byteCount: number): Promise<void> | undefined {
    this.#windowBytes += byteCount;
    if (this.#state === 'body') return this.#tookBody(byteCount, this.#sink.received(byteCount));
    const before = this.#scratchUsed;
    this.#scratchUsed += byteCount;
    if (this.#state === 'head') return this.#takeHead(before);
    if (this.#state === 'tail') this.#takeTail();
    else this.#takeAnswer();
    return undefined;
  }

  /** The connection was made and the request written. */
  sent(): void {
    this.#sentMs = this.#parts.nowMs();
  }

  /** Ends what takes too long. @returns true when it did. */
  check(nowMs: number): boolean {
    if (this.#restCount > 0) return false;
    const { headTimeoutMs, windowMs, minBytesPerWindow, bodyTimeoutMs } = this.order.watch;
    if (this.#state === 'head') {
      if (nowMs - this.#sentMs < headTimeoutMs) return false;
    } else {
      if (nowMs - this.#windowMs < windowMs) return false;
      const { target, start } = this.order;
      const missing = target.length - start - this.#sink.receivedBytes + this.#tailBytes;
      const isSlow = this.#windowBytes < Math.min(minBytesPerWindow, missing + this.#windowBytes);
      this.#waitedMs += nowMs - this.#windowMs;
      this.#windowMs = nowMs;
      this.#windowBytes = 0;
      if (!isSlow && this.#waitedMs < bodyTimeoutMs) return false;
    }
    this.broke('ETIMEDOUT');
    return true;
  }

  /** A reader waits for it now. */
  hurry(): void {
    this.#isPrefetch = false;
    this.#sink.isAhead = false;
  }

  /** Others follow it from now on. */
  follow(trail: SharedArrayBuffer): void {
    if (!this.isOver) this.#sink.follow(trail);
  }

  /** Time in which nothing was read on purpose does not count. */
  resumed(): void {
    this.#windowMs = this.#parts.nowMs();
    this.#windowBytes = 0;
  }

  /** The connection failed or ended. */
  broke(systemCode: string): void {
    if (this.#state === 'over') return;
    this.#end(async (facts) => {
      const keptBytes = await this.#sink.stop();
      return {
        ...facts,
        kind: 'broken',
        systemCode,
        keptBytes,
        blocks: this.#sink.blocks(keptBytes),
      };
    });
  }

  cancel(): void {
    if (this.#state === 'over') return;
    this.#end(async (facts) => {
      await this.#sink.stop();
      return { ...facts, kind: 'cancelled' };
    });
  }

  #takeHead(before: number): Promise<void> | undefined {
    const filled = this.#scratch.subarray(0, this.#scratchUsed);
    const length = headLength(filled, before);
    if (length < 0) {
      if (this.#scratchUsed >= HEAD_MAX_BYTES) this.#endUnfit('its head is too large');
      return undefined;
    }
    const parsed = parseHead(filled.toString('latin1', 0, length - 4));
    if (parsed.kind === 'unfit') {
      this.#endUnfit(parsed.why);
      return undefined;
    }
    this.#head = parsed;
    const rest = filled.subarray(length);
    this.resumed();
    this.#windowBytes = rest.length;
    const missing = this.order.target.length - this.order.start;
    const { status } = parsed.head;
    const tailBytes = this.#tailOf(parsed);
    if ((status === 200 || status === 206) && parsed.bodyBytes === missing + tailBytes) {
      this.#tailBytes = tailBytes;
      return this.#beginBody(parsed, rest, missing);
    }
    this.#beginAnswer(parsed, rest);
    return undefined;
  }

  /** Only of an answer that was asked for one. */
  #tailOf({ head }: GoodHead): number {
    const { tailHeader } = this.order.request;
    const text = tailHeader === undefined ? '' : (head.headers[tailHeader] ?? '');
    return /^\d{1,2}$/.test(text) ? Math.min(Number(text), TAIL_MAX_BYTES) : 0;
  }

  #beginBody({ head }: GoodHead, rest: Buffer, missing: number): Promise<void> | undefined {
    this.#state = 'body';
    const { headers } = head;
    const isWhole = this.order.start === 0 && headers['content-range'] === undefined;
    const algorithm = this.order.sum ?? (isWhole ? sumToCompute(headers) : undefined);
    if (algorithm !== undefined && this.order.start === 0) this.#sink.computeSum(algorithm);
    const body = rest.subarray(0, missing);
    if (this.order.tellsBegin === true) this.#parts.tell({ kind: 'begun', id: this.order.id });
    if (missing > 0 && body.length === 0) return undefined;
    return this.#tookBody(body.length, this.#sink.copy(body), rest.subarray(missing));
  }

  /** @param behind bytes that came with the head, and behind the body. */
  #tookBody(
    byteCount: number,
    busy: Promise<void> | undefined,
    behind: Buffer = NO_BYTES,
  ): Promise<void> | undefined {
    if (this.#sink.isFull) {
      const { buckets } = this.order;
      if (buckets) this.#parts.bandwidth.charge(buckets, byteCount);
      this.#state = 'tail';
      behind.copy(this.#scratch);
      this.#scratchUsed = behind.length;
      this.#takeTail();
      return undefined;
    }
    const { buckets, tellsMiddle, id } = this.order;
    if (tellsMiddle === true && !this.#isMiddleTold) {
      this.#isMiddleTold = true;
      this.#parts.tell({ kind: 'middle', id });
    }
    const restMs = buckets ? this.#parts.bandwidth.charge(buckets, byteCount) : 0;
    const isPaused = this.#isPrefetch && this.#parts.pause.isOn;
    if (restMs <= 0 && !isPaused) return busy;
    const rested = this.#rest(async () => {
      if (isPaused) await this.#parts.pause.rest(() => this.isOver || !this.#isPrefetch);
      if (buckets) await this.#pay(buckets, restMs);
    });
    return busy ? busy.then(() => rested) : rested;
  }

  /** The watch stands still meanwhile: nothing is read on purpose. */
  async #rest(whatFor: () => Promise<void>): Promise<void> {
    this.#restCount++;
    await whatFor();
    this.#restCount--;
  }

  /** Until what came is paid for. */
  async #pay({ awaited }: BucketShare, firstMs: number): Promise<void> {
    for (let restMs = firstMs; restMs > 0 && !this.isOver;) {
      await delay(restMs);
      restMs = this.#parts.bandwidth.restMs(awaited);
    }
  }

  #takeTail(): void {
    if (this.#scratchUsed < this.#tailBytes) return;
    this.#mayReuse = this.#scratchUsed === this.#tailBytes && (this.#head?.keepAlive ?? false);
    this.#endMoved();
  }

  #endMoved(): void {
    const head = this.#head?.head;
    if (!head) return;
    const tail = this.#scratch.toString('latin1', 0, this.#tailBytes);
    this.#end(async (facts) => {
      await this.#sink.finish();
      const { sum } = this.#sink;
      const blocks = this.#sink.blocks();
      return { ...facts, kind: 'moved', head, blocks, ...(sum && { sum }), ...(tail && { tail }) };
    });
  }

  /** What comes after the head moves to the front of the scratch buffer. */
  #beginAnswer({ bodyBytes }: GoodHead, rest: Buffer): void {
    this.#state = 'answer';
    rest.copy(this.#scratch);
    this.#scratchUsed = rest.length;
    // Longer than anything that a store says about an error.
    if (bodyBytes > this.#scratch.length) this.#endAnswered('');
    else this.#takeAnswer();
  }

  #takeAnswer(): void {
    const bodyBytes = this.#head?.bodyBytes ?? 0;
    if (this.#scratchUsed < bodyBytes) return;
    this.#mayReuse = this.#scratchUsed === bodyBytes && (this.#head?.keepAlive ?? false);
    this.#endAnswered(this.#scratch.toString('utf8', 0, bodyBytes));
  }

  #endAnswered(body: string): void {
    const head = this.#head?.head;
    if (head) this.#end((facts) => Promise.resolve({ ...facts, kind: 'answered', head, body }));
  }

  #endUnfit(why: string): void {
    this.#end((facts) => Promise.resolve({ ...facts, kind: 'unfit', why }));
  }

  #end(conclude: (facts: { id: number; receivedBytes: number }) => Promise<LaneReport>): void {
    this.#state = 'over';
    const facts = { id: this.order.id, receivedBytes: this.#sink.receivedBytes };
    this.#resolve(
      conclude(facts).catch((thrown: unknown) => {
        const { code, message } = thrown as NodeJS.ErrnoException;
        return { ...facts, kind: 'unwritten', systemCode: code ?? 'EIO', message };
      }),
    );
  }
}

/** Which sum the head gives to compare with, beside CRC32C, which is computed anyway. */
function sumToCompute(headers: AnswerHead['headers']): CombinableSum | undefined {
  if (headers['x-amz-checksum-type'] === 'COMPOSITE') return undefined;
  if ('x-amz-checksum-crc32c' in headers) return undefined;
  if ('x-amz-checksum-crc32' in headers) return 'crc32';
  return 'x-amz-checksum-crc64nvme' in headers ? 'crc64nvme' : undefined;
}
