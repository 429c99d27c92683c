import { testPeerNetworkCompliance } from './support/peer-network-compliance.ts';
import { MemoryWorld } from './support/world.ts';

testPeerNetworkCompliance('memory', (defaults) => new MemoryWorld(defaults));
