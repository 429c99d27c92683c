/** Second half of the seeds: the first is part of the basic suite. */
import test from 'ava';
import { declareSimulation } from '../sim/raft/simulate.ts';

declareSimulation(test, 1);
