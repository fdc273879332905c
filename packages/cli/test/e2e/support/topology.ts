import { Namespace } from './netns.js';
import type { Scope } from './scope.js';

/** Two hosts on one wire. */
export interface Pair {
  readonly a: Host;
  readonly b: Host;
}

/** A namespace with one interface towards the others. */
export interface Host {
  readonly ns: Namespace;
  /** its interface to the outer network */
  readonly dev: string;
  /** its outer addresses */
  readonly v4: string;
  readonly v6: string;
}

export async function pair(scope: Scope): Promise<Pair> {
  const [a, b] = await Promise.all([Namespace.create(scope, 'a'), Namespace.create(scope, 'b')]);
  await a.ip(
    `link add veth0 type veth peer name veth0 netns ${b.name}`,
    'address add 192.0.2.1/24 dev veth0',
    'address add 2001:db8::1/64 dev veth0',
    'link set veth0 up',
  );
  await b.ip('address add 192.0.2.2/24 dev veth0', 'address add 2001:db8::2/64 dev veth0', 'link set veth0 up');
  return {
    a: { ns: a, dev: 'veth0', v4: '192.0.2.1', v6: '2001:db8::1' },
    b: { ns: b, dev: 'veth0', v4: '192.0.2.2', v6: '2001:db8::2' },
  };
}

/** A client on an inner network, a router that rewrites its source addresses, and a server that cannot reach the client. */
export interface Natted {
  readonly client: Host;
  readonly router: Namespace;
  readonly server: Host;
  /** what the server sees as the client's address */
  readonly outside: string;
}

export async function natted(scope: Scope): Promise<Natted> {
  const [client, router, server] = await Promise.all([
    Namespace.create(scope, 'client'),
    Namespace.create(scope, 'nat'),
    Namespace.create(scope, 'server'),
  ]);
  await router.ip(
    `link add inside type veth peer name veth0 netns ${client.name}`,
    `link add outside type veth peer name veth0 netns ${server.name}`,
    'address add 10.66.0.1/24 dev inside',
    'address add 198.51.100.1/24 dev outside',
    'address add 198.51.100.11/24 dev outside',
    'address add fd66::1/64 dev inside',
    'address add 2001:db8:66::1/64 dev outside',
    'link set inside up',
    'link set outside up',
  );
  await router.sysctl({ 'net.ipv4.ip_forward': 1, 'net.ipv6.conf.all.forwarding': 1 });
  await client.ip(
    'address add 10.66.0.2/24 dev veth0',
    'address add fd66::2/64 dev veth0',
    'link set veth0 up',
    'route add default via 10.66.0.1',
    'route add default via fd66::1',
  );
  await server.ip(
    'address add 198.51.100.2/24 dev veth0',
    'address add 2001:db8:66::2/64 dev veth0',
    'link set veth0 up',
  );
  await snat(router, '198.51.100.1');
  return {
    client: { ns: client, dev: 'veth0', v4: '10.66.0.2', v6: 'fd66::2' },
    router,
    server: { ns: server, dev: 'veth0', v4: '198.51.100.2', v6: '2001:db8:66::2' },
    outside: '198.51.100.1',
  };
}

/**
 * Makes the router rewrite to that address from now on, other ports than before included; connections that it knew are
 * forgotten, as when a NAT has restarted.
 * @param ports the range of source ports to rewrite to
 * @param zone a number not used before: what conntrack knows in other zones does not count
 */
export async function snat(router: Namespace, address: string, ports = '20000-29999', zone = 0): Promise<void> {
  await router.nft(
    [
      'add table ip wst',
      'delete table ip wst',
      'table ip wst {',
      '  chain zone {',
      '    type filter hook prerouting priority -300;',
      `    ct zone set ${zone}`,
      '  }',
      '  chain post {',
      '    type nat hook postrouting priority 100;',
      `    oifname "outside" meta l4proto { tcp, udp } snat to ${address}:${ports}`,
      `    oifname "outside" snat to ${address}`,
      '  }',
      '  chain drops {',
      '    type filter hook forward priority 0;',
      // What is not known as part of a connection is dropped in silence, as routers at home do.
      '    iifname "outside" ct state new,invalid drop',
      '    iifname "inside" ct state invalid drop',
      '  }',
      '}',
    ].join('\n') + '\n',
  );
}
