import { testPeerNetworkCompliance } from './support/peer-network-compliance.ts';
import { SECRET, SocketWorld } from './support/world.ts';

testPeerNetworkCompliance('sockets without a secret', (defaults) => new SocketWorld(defaults));
testPeerNetworkCompliance(
  'sockets with a secret',
  (defaults) => new SocketWorld({ secrets: [SECRET], ...defaults }),
);
