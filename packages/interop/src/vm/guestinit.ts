/**
 * What runs as the first process of the guest: it mounts, loads the modules in order, and then serves commands.
 *
 * A command is a line on the virtio port: number, time limit in seconds, shell script in base64. The answer is a line: number, exit status,
 * what the script printed in base64. Commands run side by side; a lock keeps the lines of their answers whole. The first line is the
 * greeting, with the kernel's release and what could not be loaded. Scripts run in dash: busybox's shell would take its own ip and ping
 * for the real ones.
 */

/** Name of the virtio port. */
export const PORT_NAME = 'wirestream.agent';

export const GUEST_INIT = `#!/bin/busybox sh
export PATH=/usr/bin:/bin HOME=/tmp LC_ALL=C
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t debugfs debug /sys/kernel/debug 2>/dev/null
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
failed=
while read -r module; do
  insmod "/modules/$module" 2>/tmp/insmod || failed="$failed $module: $(tr '\\n' ' ' </tmp/insmod)"
done </modules/order
echo 'module wireguard +p' >/sys/kernel/debug/dynamic_debug/control 2>/dev/null
# Kernel messages go to their buffer, from where they are fetched; on the console they would cost time.
dmesg -n 1
ip link set lo up
port=
tries=0
while [ -z "$port" ] && [ $tries -lt 100 ]; do
  for entry in /sys/class/virtio-ports/*; do
    [ "$(cat "$entry/name" 2>/dev/null)" = ${PORT_NAME} ] && port=/dev/\${entry##*/}
  done
  [ -n "$port" ] || usleep 50000
  tries=$((tries + 1))
done
exec 3<>"$port"
answer() {
  { flock 9; { printf '%s %s ' "$1" "$2"; base64 -w 0 "$3"; echo; } >&3; } 9>>/tmp/.agent.lock
}
echo "$(uname -r)$failed" >/tmp/.hello
answer 0 0 /tmp/.hello
while read -r id limit script <&3; do
  (
    echo "$script" | base64 -d >"/tmp/.in.$id"
    timeout -s KILL "$limit" /usr/bin/dash "/tmp/.in.$id" >"/tmp/.out.$id" 2>&1 </dev/null 3>&-
    answer "$id" $? "/tmp/.out.$id"
    rm -f "/tmp/.in.$id" "/tmp/.out.$id"
  ) &
done
poweroff -f
`;
