/**
 * What runs as the first process of the guest: it mounts, loads the modules in order, and then serves commands on several virtio ports, one command at
 * a time on each.
 *
 * A command is a line on a port: number, time limit in seconds, shell script in base64. The answer is a line: number, exit status,
 * what the script printed in base64. The first line of each port is the
 * greeting, with the kernel's release and what could not be loaded. Scripts run in dash: busybox's shell would take its own ip and ping
 * for the real ones.
 */

/** Virtio ports: commands that can run at once. */
export const PORTS = 8;
/** What their names begin with. */
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
answer() {
  { printf '%s %s ' "$1" "$2"; base64 -w 0 "$3"; echo; } >&3
}
serve() {
  exec 3<>"$1"
  file=/tmp/.command.\${1##*/}
  echo "$(uname -r)$failed" >"$file.out"
  answer 0 0 "$file.out"
  while read -r id limit script <&3; do
    echo "$script" | base64 -d >"$file"
    # What goes on in the background keeps the old file, whoever comes next gets a new one.
    rm -f "$file.out"
    timeout -s KILL "$limit" /usr/bin/dash "$file" >"$file.out" 2>&1 </dev/null 3>&-
    answer "$id" $? "$file.out"
  done
}
ports=
count=0
tries=0
while [ $count -lt ${PORTS} ] && [ $tries -lt 200 ]; do
  ports=
  count=0
  for entry in /sys/class/virtio-ports/*; do
    case "$(cat "$entry/name" 2>/dev/null)" in ${PORT_NAME}*) 
      ports="$ports /dev/\${entry##*/}"
      count=$((count + 1)) ;;
    esac
  done
  [ $count -ge ${PORTS} ] || usleep 50000
  tries=$((tries + 1))
done
for port in $ports; do
  serve "$port" &
done
wait
poweroff -f
`;
