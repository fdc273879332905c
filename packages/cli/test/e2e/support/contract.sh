#!/bin/bash
# Drives a userspace implementation of WireGuard as people's scripts do: `PROGRAM NAME` makes the interface and comes back, everything
# else is wg(8) and ip(8). What it prints is the same for every program that keeps the contract.
#
#   contract.sh PROGRAM NAMESPACE_A NAMESPACE_B NAME_A NAME_B
#
# The namespaces reach each other as 192.0.2.1 and 192.0.2.2. No log level: with one, the program would keep our output.
unset LOG_LEVEL WG_PROCESS_FOREGROUND
program=$1 nsa=$2 nsb=$3 a=$4 b=$5
export LC_ALL=C
umask 077
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

in_a() { ip netns exec "$nsa" "$@"; }
in_b() { ip netns exec "$nsb" "$@"; }
say() { echo "$*" | sed "s/\b$a\b/A/g; s/\b$b\b/B/g"; }

# Says whether COMMAND succeeds within 20 seconds.
eventually() {
  local what=$1
  shift
  for _ in $(seq 200); do
    if "$@" >/dev/null 2>&1; then
      say "$what: yes"
      return
    fi
    sleep 0.1
  done
  say "$what: NO"
}
no() { ! "$@"; }
absent() { no ip -n "$nsa" link show "$a"; }
stopped() { [[ -z $(ip netns pids "$nsa") ]]; }
gone() {
  eventually "interface gone" absent
  eventually "process gone" stopped
  eventually "socket gone" test ! -e "/var/run/wireguard/$a.sock"
}
start() {
  "$@" >"$dir/out" 2>&1 </dev/null
  say "exit code: $?"
}
show() {
  # Ports that the system chose and times are none of the contract.
  wg show "$1" | sed -E 's/(listening port: ).*/\1PORT/; s/(latest handshake: ).*/\1WHEN/; s/(transfer: ).*/\1BYTES/' |
    sed -E 's/(endpoint: [0-9.]+):.*/\1:PORT/' | sed "s/\b$1\b/IT/"
}

say '# start: when it returns, everything is there'
start in_a "$program" "$a"
ip -n "$nsa" -o link show "$a" | grep -oE '(mtu [0-9]+|state [A-Z]+)' | tr '\n' ' '
echo
stat -c '%F' "/var/run/wireguard/$a.sock"
in_a wg show "$a" public-key
wg show interfaces | tr ' ' '\n' | grep -cx "$a"
say '# a second one of that name'
"$program" "$a" >/dev/null 2>&1 </dev/null
[[ $? -ne 0 ]] && say refused
start in_b "$program" "$b"

say '# configured with wg and ip'
wg genkey >"$dir/a"
wg genkey >"$dir/b"
wg genpsk >"$dir/psk"
key_a=$(wg pubkey <"$dir/a") key_b=$(wg pubkey <"$dir/b")
wg set "$a" listen-port 5511 private-key "$dir/a" peer "$key_b" preshared-key "$dir/psk" allowed-ips 10.99.0.2/32 \
  endpoint 192.0.2.2:5522
say "set: $?"
wg set "$b" listen-port 5522 private-key "$dir/b" peer "$key_a" preshared-key "$dir/psk" allowed-ips 10.99.0.1/32
say "set: $?"
ip -n "$nsa" address add 10.99.0.1/24 dev "$a"
ip -n "$nsb" address add 10.99.0.2/24 dev "$b"
ip -n "$nsa" link set "$a" up
ip -n "$nsb" link set "$b" up
eventually 'ping' in_a ping -n -c 1 -W 1 10.99.0.2
eventually 'ping back' in_b ping -n -c 1 -W 1 10.99.0.1
# The keys differ from run to run.
show "$a" | sed "s|$key_a|KEY_A|; s|$key_b|KEY_B|"
show "$b" | sed "s|$key_a|KEY_A|; s|$key_b|KEY_B|"
say "peers with traffic: $(wg show "$a" transfer | awk '$2 > 0 && $3 > 0' | wc -l)"
say "endpoint learned: $(wg show "$b" endpoints | cut -f2)"

say '# changed while it runs'
wg set "$a" listen-port 5512
eventually 'ping from another port' in_a ping -n -c 1 -W 1 10.99.0.2
say "endpoint followed: $(wg show "$b" endpoints | cut -f2)"
ip -n "$nsa" link set "$a" mtu 1200
eventually 'ping with another MTU' in_a ping -n -c 1 -W 1 -M do -s 1172 10.99.0.2
in_a ping -n -c 1 -W 1 -M do -s 1173 10.99.0.2 >/dev/null 2>&1 || say 'too large: refused'
ip -n "$nsa" link set "$a" down
ip -n "$nsa" link set "$a" up
eventually 'ping after down and up' in_a ping -n -c 1 -W 1 10.99.0.2
wg showconf "$a" | sed "s|$(cat "$dir/a")|PRIVATE|; s|$key_b|KEY_B|; s|$(cat "$dir/psk")|PSK|" >"$dir/conf"
cat "$dir/conf"
wg showconf "$a" >"$dir/conf" && wg setconf "$a" "$dir/conf" && wg syncconf "$a" "$dir/conf"
say "setconf and syncconf of showconf: $?"
eventually 'ping under the same configuration' in_a ping -n -c 1 -W 1 10.99.0.2
wg set "$a" peer "$key_b" remove
say "peers left: $(wg show "$a" peers | wc -l)"

say '# ends with its socket'
rm "/var/run/wireguard/$a.sock"
gone
say '# ends with its interface'
start in_a "$program" "$a"
ip -n "$nsa" link delete "$a"
gone
for signal in TERM INT; do
  say "# ends with SIG$signal"
  start in_a "$program" "$a"
  kill -s $signal $(ip netns pids "$nsa")
  gone
done
say '# starts again after a crash'
start in_a "$program" "$a"
kill -s KILL $(ip netns pids "$nsa")
eventually 'interface gone' absent
start in_a "$program" "$a"
say "peers: $(wg show "$a" peers | wc -l)"
rm "/var/run/wireguard/$a.sock" "/var/run/wireguard/$b.sock"
gone
