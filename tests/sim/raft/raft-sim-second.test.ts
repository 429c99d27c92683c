/** Second half of the seeds, on the other core. */
import test from 'ava';
import { declareSimulation } from './simulate.ts';

declareSimulation(test, 1);
