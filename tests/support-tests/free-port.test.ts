import test from 'ava';
import { PortPart } from '../support/free-port.ts';

test('free ports: who prefers the part of another one gets a part of its own', async (t) => {
  using first = await PortPart.take(99);
  using second = await PortPart.take(first.number);
  t.not(second.number, first.number);
  const ports = await Promise.all([first, second].flatMap((part) => [part, part].map(portOf)));
  t.is(new Set(ports).size, 4);
});

function portOf(part: PortPart): Promise<number> {
  return part.freePort();
}
