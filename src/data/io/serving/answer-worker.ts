/** A thread that answers clients and leaves every decision to the main thread. */
import { workerData } from 'node:worker_threads';
import type { AnswerOptions } from './answer-messages.ts';
import { Answering } from './answering.ts';

new Answering(workerData as AnswerOptions).listen();
